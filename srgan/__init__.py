"""Super-resolution of atmospheric fields, trained with the learned distance.

What the commands `phire-data`, `phire-train` and `phire-infer` do, in Python:

    srgan.sample_patches(srgan.PatchSamplerConfig(archive="archive.h5", output="patches"))
    srgan.train(srgan.GeneratorTrainingConfig(records="patches", output="run"))
    generator = srgan.load_generator("run")                # or a package, or hf://user/name
    high = generator(low, grid=grid)                       # NumPy, (..., channel, lat, lon)
    high = generator(xarray.open_dataset("low.nc"))        # or xarray, lazily if chunked

Settings are those of the commands, by the same names. Fields are in physical units on both sides.
`srgan.super_resolve(srgan.InferConfig(...))` makes archives of archives, as `phire-infer` does, and
`srgan.save_generator("run", "package")` a package to keep or to publish.
"""

from typing import TYPE_CHECKING

from atmodist.lazy import lazy_names

if TYPE_CHECKING:
    from srgan.generators.generator import Generator
    from srgan.generators.package import load_generator, save_generator
    from srgan.inference.configuration import InferConfig
    from srgan.inference.run import super_resolve
    from srgan.samples.configuration import PatchSamplerConfig
    from srgan.samples.sampling import sample_patches
    from srgan.training.configuration import GeneratorTrainingConfig
    from srgan.training.run import train

_LAZY = {
    "Generator": "srgan.generators.generator",
    "GeneratorTrainingConfig": "srgan.training.configuration",
    "InferConfig": "srgan.inference.configuration",
    "PatchSamplerConfig": "srgan.samples.configuration",
    "load_generator": "srgan.generators.package",
    "sample_patches": "srgan.samples.sampling",
    "save_generator": "srgan.generators.package",
    "super_resolve": "srgan.inference.run",
    "train": "srgan.training.run",
}

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

__getattr__, __dir__ = lazy_names(__name__, _LAZY)
