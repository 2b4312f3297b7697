"""Patches of high and low resolution: drawn from an archive, and read for training."""
