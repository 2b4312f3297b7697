"""The encoder package: one folder with all that the metric needs, to keep, to publish, to load.

    encoder.keras          the network, loaded in Keras' safe mode
    normalization.json     what it was trained with
    calibration.json       the curve of equivalent hours, where there is one
    manifest.json          how it was trained, and the length and digest of every other file
    README.md              a model card as the Hugging Face Hub shows it

A folder of `rplearn-train` can be loaded as well. What is loaded may come from anybody: only these
names are read, only if they are plain files of credible length and as the manifest says, and
nothing in them is run.
"""

import hashlib
import importlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from atmodist.fields.grid import Grid
from atmodist.learning.saving import load_network
from atmodist.metric.model_card import model_card
from atmodist.metric.receptive_field import extents
from atmodist.metric.training_grid import spacing_degrees, spacing_km
from atmodist.outputs import atomic_path, read_json, write_json
from atmodist.samples.normalization import Normalization

if TYPE_CHECKING:
    from atmodist.metric.calibration import Calibration

FORMAT = "atmodist-encoder"
FORMAT_VERSION = 1
ENCODER, NORMALIZATION = "encoder.keras", "normalization.json"
CALIBRATION, MANIFEST, CARD = "calibration.json", "manifest.json", "README.md"
EVALUATION = "evaluation.json"
REQUIRED = (ENCODER, NORMALIZATION, MANIFEST)
FILES = (*REQUIRED, CALIBRATION, CARD)
HUB = "hf://"

MAX_BYTES = {ENCODER: 4 << 30, NORMALIZATION: 1 << 20, CALIBRATION: 16 << 20, MANIFEST: 16 << 20}
MAX_BYTES[CARD] = MAX_BYTES[EVALUATION] = 16 << 20
_MEMBERS = re.compile(r"metadata\.json|config\.json|model\.weights\.h5")
_LICENSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_ADDRESS = re.compile(r"hf://([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?/?")


@dataclass(frozen=True)
class EncoderPackage:
    """An encoder with what belongs to it.

    Attributes:
        encoder: From (batch, latitude, longitude, channel) to features by stage.
        normalization: What it was trained with.
        calibration: None if it was not calibrated.
        manifest: What is known of its making.
        grid: Of the fields it was trained on; None if that is not known.
    """

    encoder: keras.Model
    normalization: Normalization
    calibration: "Calibration | None"
    manifest: Mapping[str, Any]
    grid: Grid | None = None


def save_package(
    run_folder: str | Path,
    target: str | Path,
    *,
    license: str = "apache-2.0",
    grid: Grid | None = None,
) -> str:
    """Makes a package of a trained encoder.

    Args:
        run_folder: Where `rplearn-train` put it; calibration.json and evaluation.json are taken
            along if they are there.
        target: The folder to make (one that exists is replaced if it is a package), or
            "hf://user/name" to publish it there, which needs `huggingface_hub` and a login.
        license: Of the weights, as the Hugging Face Hub names it.
        grid: Of the fields it was trained on; the package takes arrays to be on it by default.

    Returns:
        The target.
    """
    run_folder = Path(run_folder)
    if not _LICENSE.fullmatch(license):
        raise ValueError(f"`license` must be an identifier such as apache-2.0; got {license!r}")
    if str(target).startswith(HUB):
        repository, revision = _hub_address(str(target))
        with tempfile.TemporaryDirectory() as folder:
            _write(run_folder, Path(folder), license, grid, repository)
            hub = import_hub()
            hub.create_repo(repository, exist_ok=True)
            hub.upload_folder(
                repo_id=repository,
                folder_path=folder,
                revision=revision,
                allow_patterns=list(FILES),
                commit_message="Encoder package",
            )
        return str(target)
    target = Path(target)
    if target.exists() and not _is_package(target):
        raise ValueError(f"{target} exists and is no encoder package; it is left alone")
    with atomic_path(target) as temporary:
        temporary.mkdir()
        _write(run_folder, temporary, license, grid, target.name)
    return str(target)


def load_package(path: str | Path) -> EncoderPackage:
    """Opens an encoder package, or a folder of `rplearn-train`.

    Args:
        path: The folder; or "hf://user/name", or "hf://user/name@revision", which is fetched.

    Raises:
        FileNotFoundError: If the folder or one of its files is missing.
        ValueError: If a file is damaged, is not what the manifest says, or does not belong to
            the others.
        ImportError: If an address is given and `huggingface_hub` is missing.
    """
    if str(path).startswith(HUB):
        repository, revision = _hub_address(str(path))
        with tempfile.TemporaryDirectory() as folder:
            import_hub().snapshot_download(
                repository, revision=revision, allow_patterns=list(FILES), local_dir=folder
            )
            return _load(Path(folder), str(path))
    return _load(Path(path), str(path))


def import_hub() -> ModuleType:
    """Imports `huggingface_hub`; says how to get it where it is missing."""
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError:
        raise ImportError(
            "addresses that begin with hf:// need huggingface_hub: pip install 'atmodist[hub]'"
        ) from None


def _load(folder: Path, shown: str) -> EncoderPackage:
    _require_files(folder, shown)
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict):
        raise ValueError(f"{shown}: {MANIFEST} must hold an object; it holds {manifest!r:.40}")
    if "format" in manifest:
        _check_manifest(folder, manifest, shown)
    _check_archive(folder / ENCODER)
    normalization = Normalization.load(folder / NORMALIZATION)
    calibration = None
    if (folder / CALIBRATION).is_file():
        from atmodist.metric.calibration import Calibration

        calibration = Calibration.load(folder / CALIBRATION)
        if calibration.normalization not in (None, normalization.identity):
            raise ValueError(
                f"{shown}: {CALIBRATION} belongs to normalization {calibration.normalization}; "
                f"{NORMALIZATION} is {normalization.identity}"
            )
    encoder = load_network(folder / ENCODER)
    _check_encoder(encoder, normalization, shown)
    identity = manifest.get("normalization")
    if identity not in (None, normalization.identity):
        raise ValueError(
            f"{shown}: the encoder was trained with normalization {identity}; "
            f"{NORMALIZATION} is {normalization.identity}"
        )
    return EncoderPackage(encoder, normalization, calibration, manifest, _grid(manifest, shown))


def _write(run_folder: Path, target: Path, license: str, grid: Grid | None, name: str) -> None:
    package = _load(run_folder, str(run_folder))
    names = [ENCODER, NORMALIZATION]
    names += [CALIBRATION] if package.calibration is not None else []
    for file in names:
        shutil.copyfile(run_folder / file, target / file)
    grid = grid or package.grid
    manifest = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "license": license,
        "normalization": package.normalization.identity,
        "channels": list(package.normalization.channels),
        "units": list(package.normalization.units),
        "encoder": _described(package.encoder),
        "grid": None if grid is None else _described_grid(grid),
        "calibrated": package.calibration is not None,
        "training": _training(package.manifest),
        "evaluation": _evaluation(run_folder, package.manifest),
    }
    (target / CARD).write_text(model_card(name, manifest), encoding="utf-8")
    manifest["files"] = {file: _measured(target / file) for file in (*names, CARD)}
    write_json(target / MANIFEST, manifest)


def _training(manifest: Mapping[str, Any]) -> Any:
    """The manifest of the run, without the folders of whoever ran it."""
    return _without_folders(manifest.get("training", manifest))


def _evaluation(run_folder: Path, manifest: Mapping[str, Any]) -> Any:
    path = run_folder / EVALUATION
    if path.is_file() and path.stat().st_size <= MAX_BYTES[EVALUATION]:
        return read_json(path)
    return manifest.get("evaluation")


def _without_folders(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {_without_folders(k): _without_folders(v) for k, v in content.items()}
    if isinstance(content, list):
        return [_without_folders(value) for value in content]
    if isinstance(content, str) and content.startswith(("/", "~", "./", "../")):
        return PurePosixPath(content).name
    return content


def _described(encoder: keras.Model) -> dict[str, Any]:
    return {
        "name": encoder.name,
        "input_shape": list(encoder.input.shape[1:]),
        "parameters": int(encoder.count_params()),
        "stages": {
            stage: {
                "stride": extent.stride,
                "features": int(encoder.output[stage].shape[-1]),
                "sees": [extent.first, extent.last],
            }
            for stage, extent in extents(encoder).items()
        },
    }


def _described_grid(grid: Grid) -> dict[str, Any]:
    rows, columns = spacing_degrees(grid)
    return {
        "kind": grid.kind,
        "spacing_degrees": [rows, columns],
        "spacing_km": spacing_km(rows),
        "latitude": grid.latitude,
        "longitude": grid.longitude,
    }


def _measured(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _is_package(folder: Path) -> bool:
    try:
        return bool(read_json(folder / MANIFEST).get("format") == FORMAT)
    except (OSError, ValueError, AttributeError):
        return False


def _require_files(folder: Path, shown: str) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {shown}; `rplearn-train` makes one with an encoder"
        )
    for name in FILES:
        path = folder / name
        if not path.exists() and not path.is_symlink():
            if name in REQUIRED:
                raise FileNotFoundError(f"{shown} holds no encoder: it lacks {name}")
            continue
        # A link could lead to any file of whoever loads this.
        if path.is_symlink() or not path.is_file():
            raise ValueError(f"{shown}: {name} must be a plain file, neither link nor folder")
        size = path.stat().st_size
        if not 0 < size <= MAX_BYTES[name]:
            raise ValueError(
                f"{shown}: {name} has {size} bytes; expected between 1 and {MAX_BYTES[name]}"
            )


def _check_manifest(folder: Path, manifest: Mapping[str, Any], shown: str) -> None:
    if manifest["format"] != FORMAT or manifest.get("version") != FORMAT_VERSION:
        raise ValueError(
            f"{shown} is of format {manifest['format']!r}, version {manifest.get('version')!r}; "
            f"this release reads {FORMAT!r}, version {FORMAT_VERSION}"
        )
    files = manifest.get("files")
    if not isinstance(files, dict):
        raise ValueError(f"{shown}: {MANIFEST} does not list the files of the package")
    strange = sorted(set(files) - set(FILES))
    if strange:
        raise ValueError(f"{shown}: {MANIFEST} lists {strange[0]!r}, which is no part of a package")
    for name in (ENCODER, NORMALIZATION, CALIBRATION):
        if name not in files and (folder / name).exists():
            raise ValueError(f"{shown}: {MANIFEST} does not list {name}")
        if name in files and not (folder / name).is_file():
            raise FileNotFoundError(f"{shown} lacks {name}, which {MANIFEST} lists")
        if name in files and _measured(folder / name) != files[name]:
            raise ValueError(
                f"{shown}: {name} is not the file that {MANIFEST} describes; was it cut, or edited?"
            )


def _check_archive(path: Path) -> None:
    """Refuses `.keras` files with members that are no part of a network, or that unpack to much."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is no network saved by Keras (a .keras file); was it cut?")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    strange = [member.filename for member in members if not _MEMBERS.fullmatch(member.filename)]
    if strange:
        raise ValueError(f"{path} holds {strange[0]!r}, which is no part of a network")
    if sum(member.file_size for member in members) > MAX_BYTES[ENCODER]:
        raise ValueError(f"{path} unpacks to more than {MAX_BYTES[ENCODER]} bytes")


def _check_encoder(encoder: keras.Model, normalization: Normalization, shown: str) -> None:
    shape = getattr(encoder.input, "shape", None)
    if not isinstance(encoder.output, dict) or shape is None or len(shape) != 4:
        raise ValueError(
            f"{shown}: {ENCODER} is no encoder, from (batch, latitude, longitude, channel) to "
            "features by stage"
        )
    if shape[-1] != len(normalization.channels):
        raise ValueError(
            f"{shown}: the encoder takes {shape[-1]} channels, {NORMALIZATION} has "
            f"{normalization.channels}"
        )


def _grid(manifest: Mapping[str, Any], shown: str) -> Grid | None:
    content = manifest.get("grid")
    if content is None:
        return None
    try:
        axes = [np.asarray(content[name], np.float64) for name in ("latitude", "longitude")]
        return Grid(*axes)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{shown}: the grid in {MANIFEST} is none ({error})") from None


def _hub_address(address: str) -> tuple[str, str | None]:
    match = _ADDRESS.fullmatch(address)
    if not match or ".." in address:
        raise ValueError(
            f"{address!r} is no address; write hf://user/name, or hf://user/name@revision"
        )
    return match[1], match[2]
