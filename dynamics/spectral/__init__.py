"""The spectral core: equations stepped by spherical-harmonic transforms."""
