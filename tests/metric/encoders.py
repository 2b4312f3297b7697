"""Encoders with weights that make every feature count, and fields for them."""

import numpy as np

from atmodist.fields.normalization import Normalization
from atmodist.pretext.networks import encoder

CHANNELS = ("divergence", "vorticity")


def made_encoder(name="resnet-tiny", patch=64, channels=2, seed=0):
    """Untrained, but with biases and statistics that are not those of a fresh network."""
    network = encoder(name, (patch, patch, channels))
    rng = np.random.default_rng(seed)
    for weight in network.weights:
        noise = rng.normal(0, 0.2, weight.shape)
        if "variance" in weight.path or "gamma" in weight.path:
            weight.assign(1.0 + np.abs(noise))
        elif len(weight.shape) == 1:
            weight.assign(noise)
        else:  # ReLU halves the variance; each layer keeps it of order one
            fan_in = np.prod(weight.shape[:-1])
            weight.assign(rng.normal(0, np.sqrt(1.5 / fan_in), weight.shape))
    return network


def made_normalization(channels=CHANNELS):
    n = len(channels)
    return Normalization(
        channels=channels,
        mean=np.linspace(-1e-6, 1e-6, n),
        std=np.linspace(2e-5, 4e-5, n),
        log_mean=np.linspace(0.0, 0.02, n),
        log_std=np.linspace(0.2, 0.3, n),
        units=("s-1",) * n,
    )


def made_fields(grid, number=1, channels=2, seed=0):
    """Noise, (number, channel, latitude, longitude) float32; no symmetry of any kind."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 3e-5, (number, channels, *grid.shape)).astype(np.float32)
