"""Coarse fields made fine by anything: geometry, poles, degradation, interpolation."""
