"""Numerics of fields on the sphere: means, gradients, histograms, spectra."""
