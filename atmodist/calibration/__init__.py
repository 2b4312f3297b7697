"""Calibration of a trained encoder: what its distances mean, and how they compare."""
