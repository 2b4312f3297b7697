"""Small generators with weights that make every part count, and fields for them."""

import numpy as np

from srgan.generators.facts import GeneratorFacts
from srgan.generators.generator import Generator
from srgan.networks.generator import generator, receptive_radius
from tests.metric.encoders import CHANNELS, made_normalization


def made_network(factors=(2,), seed=0, **options):
    """Untrained, but with biases: zeros around a field are not what they are in its layers."""
    network = generator(len(CHANNELS), factors, filters=4, blocks=1, **options)
    rng = np.random.default_rng(seed)
    for weight in network.weights:
        scale = 0.3 if len(weight.shape) == 1 else np.sqrt(1.0 / np.prod(weight.shape[:-1]))
        weight.assign(rng.normal(0, scale, weight.shape))
    return network


def made_facts(network, factors=(2,), **options):
    return GeneratorFacts(
        factors=factors, channels=CHANNELS, receptive_radius=receptive_radius(network), **options
    )


def made_generator(factors=(2,), *, num_static=0, noise_channels=0, projection=False, **options):
    normalization = made_normalization()
    means_in = "normalized" if options.get("degradation") == "normalized" else normalization
    network = made_network(
        factors,
        num_static=num_static,
        noise_channels=noise_channels,
        projection=means_in if projection else None,
    )
    about = ("alignment", "degradation", "spacing_degrees")
    names = ("orography", "land_sea_mask", "latitude")[:num_static]
    facts = made_facts(
        network,
        factors,
        static=names,
        noise_channels=noise_channels,
        projection=projection,
        **{name: options.pop(name) for name in about if name in options},
    )
    return Generator(network, normalization, facts, **options)
