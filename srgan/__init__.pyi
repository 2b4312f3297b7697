from .generators.generator import Generator
from .generators.package import load_generator, save_generator
from .inference.configuration import InferConfig
from .inference.run import super_resolve
from .samples.configuration import PatchSamplerConfig
from .samples.sampling import sample_patches
from .training.configuration import GeneratorTrainingConfig
from .training.run import train

__all__ = [
    "Generator",
    "GeneratorTrainingConfig",
    "InferConfig",
    "PatchSamplerConfig",
    "load_generator",
    "sample_patches",
    "save_generator",
    "super_resolve",
    "train",
]
