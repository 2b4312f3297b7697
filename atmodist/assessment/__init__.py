"""Judges a trained pretext network: scores, calibration, maps, and what it cheated with."""
