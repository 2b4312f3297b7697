"""The generator package: one folder with all that super-resolution needs, to keep or to publish.

    generator.keras        the network, loaded in Keras' safe mode
    normalization.json     of coarse and fine fields
    generator.json         factor, channels, grids and whatever else it was made for
    static.npz             static fields on the fine grid, where it takes any
    manifest.json          how it was trained, and the length and digest of every other file
    README.md              a model card as the Hugging Face Hub shows it

A folder of `phire-train` has the same files (its manifest says how it was trained, and does not
list them), and is loaded alike. `atmodist.files.packaging` checks the files: what is loaded
may come from anybody.
"""

import hashlib
import math
import shutil
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from atmodist.fields.normalization import Normalization
from atmodist.files.outputs import digest
from atmodist.files.packaging import (
    CARD,
    NETWORK_BYTES,
    PackageFormat,
    check_license,
    without_folders,
)
from atmodist.training.saving import load_network, save_network
from srgan.generators.facts import GeneratorFacts
from srgan.generators.generator import Generator
from srgan.generators.model_card import model_card
from srgan.networks import layers as _known_layers  # noqa: F401  safe mode must know them
from srgan.restoration.interpolation import METHODS, Interpolation
from srgan.restoration.restoration import Restoration
from srgan.samples.static import STATIC_FILE, StaticChannels

NETWORK, NORMALIZATION = "generator.keras", "normalization.json"
FACTS, STATIC = "generator.json", STATIC_FILE
STATIC_BYTES = 1 << 30
FORMAT = PackageFormat(
    what="generator",
    name="srgan-generator-package",
    version=1,
    network=NETWORK,
    required=(NORMALIZATION, FACTS),
    optional=(STATIC,),
    made_by="phire-train",
    max_bytes={
        NETWORK: NETWORK_BYTES,
        NORMALIZATION: 1 << 20,
        FACTS: 1 << 20,
        STATIC: STATIC_BYTES,
    },
)


def load_generator(
    path: str | Path,
    *,
    factor: int | None = None,
    static: str | Path | None = None,
    **options: Any,
) -> Restoration:
    """Opens a generator package, a folder of `phire-train`, or an interpolation by its name.

    Args:
        path: The folder; or "hf://user/name", or "hf://user/name@revision", which is fetched; or
            "nearest", "bilinear" or "bicubic".
        factor: Of an interpolation. A generator has its own, which it must then be.
        static: File (.npz) with static fields on the fine grid, as `phire-data` writes it, instead
            of the one in the package.
        **options: Of `Generator` (tile, tile_bytes) or `Interpolation` (channels, units).

    Raises:
        FileNotFoundError: If the folder or one of its files is missing.
        ValueError: If a file is damaged, is not what the manifest says, or does not belong to
            the others.
        ImportError: If an address is given and `huggingface_hub` is missing.
    """
    if str(path) in METHODS:
        if factor is None:
            raise ValueError(f"{path} needs a factor")
        return Interpolation(path, factor, **options)  # type: ignore[arg-type]
    with FORMAT.opened(path) as (folder, manifest):
        normalization = Normalization.load(folder / NORMALIZATION)
        identity = manifest.get("normalization")
        if identity not in (None, normalization.identity):
            raise ValueError(
                f"{path}: the generator was trained with normalization {identity}; "
                f"{NORMALIZATION} is {normalization.identity}"
            )
        facts = GeneratorFacts.load(folder / FACTS)
        if factor not in (None, facts.factor):
            raise ValueError(f"{path} refines by {facts.factor}, not by {factor}")
        network = load_network(folder / NETWORK)
        if static is None and facts.static and (folder / STATIC).is_file():
            static = folder / STATIC
        values = None if static is None else load_static(Path(static), facts.static)
        try:
            generator = Generator(network, normalization, facts, static=values, **options)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        generator.name = str(path)
        generator.identity = _identity(folder, normalization)
    return generator


def save_generator(
    run_folder: str | Path, target: str | Path, *, license: str = "apache-2.0"
) -> str:
    """Makes a package of a trained generator.

    Args:
        run_folder: Where `phire-train` put it; or another package.
        target: The folder to make (one that exists is replaced if it is a package), or
            "hf://user/name" to publish it there, which needs `huggingface_hub` and a login.
        license: Of the weights, as the Hugging Face Hub names it.

    Returns:
        The target.
    """
    check_license(license)
    return FORMAT.save(target, lambda folder, name: _write(run_folder, folder, license, name))


def write_generator(
    folder: str | Path,
    network: keras.Model,
    normalization: Normalization,
    facts: GeneratorFacts,
    *,
    static: StaticChannels | None = None,
) -> None:
    """Writes the files of a generator into a folder, each atomically; all but the manifest.

    Args:
        folder: Of a training run; made if it is not there.
        network: The generator.
        normalization: Of coarse and fine fields.
        facts: What it was made for.
        static: Static fields of the training, if it takes any.
    """
    values = None if static is None else static.values
    Generator(network, normalization, facts, static=values)  # checks that they belong together
    if static is not None and static.names != facts.static:
        raise ValueError(f"the static fields are {static.names}; expected {facts.static}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    normalization.save(folder / NORMALIZATION)
    facts.save(folder / FACTS)
    if static is not None:
        static.save(folder)
    save_network(network, folder / NETWORK)


def _write(run_folder: str | Path, target: Path, license: str, name: str) -> None:
    if str(run_folder) in METHODS:
        raise ValueError(f"{run_folder} is an interpolation, of which there is no package")
    generator = load_generator(run_folder)
    assert isinstance(generator, Generator)  # noqa: S101  for the type checker
    names = [NETWORK, NORMALIZATION, FACTS]
    with FORMAT.opened(run_folder) as (folder, manifest):
        names += [STATIC] if (folder / STATIC).is_file() else []
        for file in names:
            shutil.copyfile(folder / file, target / file)
    entries = {
        "license": license,
        "normalization": generator.normalization.identity,
        "channels": list(generator.channels),
        "units": list(generator.units),
        "parameters": int(generator.network.count_params()),
        "training": without_folders(manifest.get("training", manifest)),
    }
    card = model_card(name, entries, generator.facts)
    (target / CARD).write_text(card, encoding="utf-8")
    FORMAT.write_manifest(target, (*names, CARD), entries)


def _identity(folder: Path, normalization: Normalization) -> str:
    """A digest of all that decides the output."""
    names = [name for name in (NETWORK, FACTS, STATIC) if (folder / name).is_file()]
    return digest([normalization.identity, *(_sha256(folder / name) for name in names)])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_static(path: Path, names: tuple[str, ...]) -> np.ndarray:
    """Reads static fields (latitude, longitude, static), as `phire-data` writes them.

    Refuses files that would unpack to much, pickled objects, and fields with other names.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > STATIC_BYTES:
            raise ValueError(f"it unpacks to {size} bytes, more than {STATIC_BYTES}")
        with np.load(path, allow_pickle=False) as content:
            static, found = content["values"], tuple(map(str, content["names"]))
        if static.dtype != np.float32 or not math.prod(static.shape):
            raise ValueError(f"it holds {static.dtype} of shape {static.shape}")
        if found != names:
            raise ValueError(f"it holds {found}, the generator takes {names}")
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise ValueError(f"{path} does not hold its static fields ({error})") from None
    return np.asarray(static)
