"""Packaging of AtmoDist: its packages, dependencies and console commands."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
INIT = (ROOT / "atmodist" / "__init__.py").read_text(encoding="utf-8")

# Lower bounds are tested as they stand (tools/lower_bounds.py, .ci/run); upper bounds stop at the
# next release that may break us, so that a fresh install next year still works.
CORE = [
    "tensorflow>=2.21,<2.23",
    "keras>=3.15,<4",
    "numpy>=2.2,<3",
    "scipy>=1.15,<2",
    "h5py>=3.12.1,<4",
    "hdf5plugin>=5.0,<8",
    "dask[array]>=2024.12,<2028",
    "tensorflow-datasets>=4.9.9,<5",
    "google-crc32c>=1.6,<2",
    "protobuf>=6.31.1,<8",
    "pyshtools>=4.13.1,<5",
    "jsonargparse[signatures]>=4.49,<5",
    "xarray>=2026.4,<2028",
    "cftime>=1.6.4,<2",
    "matplotlib>=3.9,<4",
    "tqdm>=4.66,<5",
    "lazy_loader>=0.4,<1",
]

EXTRAS = {
    # GPL-2.0-or-later, hence never required: fast transforms, and the vector analysis of winds.
    "fast": ["ducc0>=0.36,<1"],
    "grib": ["eccodes>=2.39,<3"],  # 2.38 flushes small numbers to zero, in the whole process
    "netcdf": ["h5netcdf>=1.4,<2"],
    "zarr": ["zarr>=3.1.3,<4", "numcodecs>=0.15,<1"],
    "hub": ["huggingface_hub>=0.26,<2"],
    "tensorboard": ["tensorboard>=2.20,<3"],
    "distributed": ["distributed>=2024.12,<2028"],  # dask workers for phire-eval
}
EXTRAS["all"] = sorted({requirement for extra in EXTRAS.values() for requirement in extra})
# Other backends for saved networks and losses (KERAS_BACKEND=jax or torch). Large, hence not in
# "all": on Linux a plain `pip install torch` brings several GB of CUDA.
EXTRAS["jax"] = ["jax>=0.6,<1"]
EXTRAS["torch"] = ["torch>=2.6,<3"]
EXTRAS["docs"] = [
    "mkdocs>=1.6,<2",
    "mkdocs-material>=9.7,<10",
    "mkdocstrings[python]>=1.0,<2",
]
EXTRAS["dev"] = [
    *EXTRAS["docs"],
    "pytest>=8.3,<10",
    "pytest-cov>=7,<8",
    "arch>=7,<9",  # block bootstraps, to hold our intervals against
    "pytest-xdist>=3.6.1,<4",
    "hypothesis>=6.115,<7",
    "ruff>=0.17,<0.18",  # the formatter changes between minor releases
    "mypy>=1.13,<3",
    "import-linter>=2.4,<3",
    "pre-commit>=4,<5",
]

COMMANDS = [
    "atmodist = atmodist.cli.main:main",
    "rplearn-data = atmodist.cli.rplearn_data:main",
    "rplearn-train = atmodist.cli.rplearn_train:main",
    "rplearn-eval = atmodist.cli.rplearn_eval:main",
    "phire-data = srgan.cli.phire_data:main",
    "phire-train = srgan.cli.phire_train:main",
    "phire-infer = srgan.cli.phire_infer:main",
    "phire-eval = evaluation.cli.phire_eval:main",
]

setup(
    name="atmodist",
    version=VERSION.search(INIT)[1],
    description="A learned ruler for the atmosphere: distances between atmospheric states",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The AtmoDist developers",
    license="Apache-2.0",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Atmospheric Science",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=find_packages(
        include=["atmodist*", "srgan*", "evaluation*", "dynamics*"], exclude=["*.tests*"]
    ),
    package_data={
        "evaluation": ["data/*"],
        "dynamics": ["data/*"],
        "": ["*.pyi", "py.typed"],
    },
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={"console_scripts": COMMANDS},
)
