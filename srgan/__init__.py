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

import lazy_loader

import atmodist  # noqa: F401  for what it settles before TensorFlow and Keras are imported

# The names stand in `__init__.pyi`; their modules are imported when somebody asks for them.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
