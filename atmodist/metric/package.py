"""The encoder package: one folder with all that the metric needs, to keep, to publish, to load.

    encoder.keras          the network, loaded in Keras' safe mode
    normalization.json     what it was trained with
    calibration.json       the curve of equivalent hours, where there is one
    manifest.json          how it was trained, and the length and digest of every other file
    README.md              a model card as the Hugging Face Hub shows it

A folder of `rplearn-train` can be loaded as well. `atmodist.files.packaging` checks the files.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from atmodist.fields.described_grid import described_grid, grid_of
from atmodist.fields.grid import Grid
from atmodist.fields.normalization import Normalization, require_normalization
from atmodist.files.outputs import atomic_path, read_json
from atmodist.files.packaging import (
    CARD,
    MANIFEST,
    NETWORK_BYTES,
    TEXT_BYTES,
    PackageFormat,
    check_license,
    without_folders,
)
from atmodist.metric.features import StageFeatures
from atmodist.metric.model_card import model_card
from atmodist.metric.receptive_field import extents
from atmodist.metric.weights import weights_digest
from atmodist.training.saving import load_network

if TYPE_CHECKING:
    from atmodist.metric.calibration import Calibration

ENCODER, NORMALIZATION = "encoder.keras", "normalization.json"
CALIBRATION, EVALUATION = "calibration.json", "evaluation.json"
FORMAT = PackageFormat(
    what="encoder",
    name="atmodist-encoder",
    version=1,
    network=ENCODER,
    required=(NORMALIZATION,),
    optional=(CALIBRATION,),
    made_by="rplearn-train",
    made_anew_by={CALIBRATION: "atmodist calibrate"},
    max_bytes={ENCODER: NETWORK_BYTES, NORMALIZATION: 1 << 20},
)
FILES = FORMAT.files


@dataclass(frozen=True)
class EncoderPackage:
    """An encoder with what belongs to it.

    Attributes:
        encoder: From (batch, latitude, longitude, channel) to features by stage.
        normalization: What it was trained with.
        calibration: None if it was not calibrated, or nobody asked for it.
        manifest: What is known of its making.
        grid: Of the fields it was trained on; None if that is not known.
    """

    encoder: keras.Model
    normalization: Normalization
    calibration: "Calibration | None"
    manifest: Mapping[str, Any]
    grid: Grid | None = None

    def features(self) -> StageFeatures:
        """Encodes patches and whole fields."""
        return StageFeatures(self.encoder, self.normalization)


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
    check_license(license)
    return FORMAT.save(target, lambda folder, name: _write(run_folder, folder, license, grid, name))


def load_package(
    path: str | Path, *, calibrated: bool = True, normalization: str | Path | None = None
) -> EncoderPackage:
    """Opens an encoder package, or a folder of `rplearn-train`.

    Args:
        path: The folder; or "hf://user/name", or "hf://user/name@revision", which is fetched.
        calibrated: False to leave its calibration alone, whatever is wrong with it.
        normalization: What the encoder was trained with, for a run that lacks it: a file, or a
            name that `Normalization.load` knows.

    Raises:
        FileNotFoundError: If the folder or one of its files is missing.
        ValueError: If a file is damaged, is not what the manifest says, or does not belong to
            the others.
        ImportError: If an address is given and `huggingface_hub` is missing.
    """
    unchecked = [] if calibrated else [CALIBRATION]
    if _is_run_without_normalization(path):
        unchecked.append(NORMALIZATION)  # one is named, or else we say how to name one
    with FORMAT.opened(path, unchecked=unchecked) as (folder, manifest):
        return _load(folder, manifest, str(path), calibrated, normalization)


def adopt_normalization(folder: str | Path, named: str | Path | None) -> EncoderPackage:
    """Loads an encoder, and keeps the normalisation that is named beside it if it has none.

    Args:
        folder: Of `rplearn-train`, or a package.
        named: A file, or a name that `Normalization.load` knows; None for what is there.
    """
    package = load_package(folder, calibrated=False, normalization=named)
    if not (Path(folder) / NORMALIZATION).is_file():
        package.normalization.save(Path(folder) / NORMALIZATION)
    return package


def save_calibration(calibration: "Calibration", folder: str | Path) -> None:
    """Puts a calibration beside its encoder; a package says so in its manifest and card.

    A card that somebody edited is left as it is. If this is killed in between, loading the package
    is refused until it is calibrated again.

    Args:
        calibration: Of the encoder in the folder.
        folder: Of `rplearn-train`, or a package.
    """
    folder = Path(folder)
    calibration.save(folder / CALIBRATION)
    if not FORMAT.is_package(folder):
        return
    manifest = read_json(folder / MANIFEST) | _calibration_facts(calibration)
    names = [CALIBRATION]
    if FORMAT.is_as_listed(folder, CARD):
        names.append(CARD)
        with atomic_path(folder / CARD) as temporary:
            temporary.write_text(model_card(folder.name, manifest), encoding="utf-8")
    FORMAT.update_manifest(folder, names, manifest)


def _is_run_without_normalization(path: str | Path) -> bool:
    folder = Path(path)
    return (
        (folder / ENCODER).is_file()
        and not (folder / NORMALIZATION).exists()
        and not FORMAT.is_package(folder)
    )


def _load(
    folder: Path,
    manifest: Mapping[str, Any],
    shown: str,
    calibrated: bool,
    named: str | Path | None,
) -> EncoderPackage:
    normalization = require_normalization(folder, named)
    encoder = load_network(folder / ENCODER)
    _check_encoder(encoder, normalization, shown)
    calibration = None
    if calibrated and (folder / CALIBRATION).is_file():
        calibration = _load_calibration(folder, encoder, normalization, shown)
    identity = manifest.get("normalization")
    if identity not in (None, normalization.identity):
        raise ValueError(
            f"{shown}: the encoder was trained with normalization {identity}; "
            f"{NORMALIZATION} is {normalization.identity}"
        )
    grid = grid_of(manifest.get("grid"), f"{shown}: the grid in {MANIFEST}")
    return EncoderPackage(encoder, normalization, calibration, manifest, grid)


def _load_calibration(
    folder: Path, encoder: keras.Model, normalization: Normalization, shown: str
) -> "Calibration":
    from atmodist.metric.calibration import Calibration

    calibration = Calibration.load(folder / CALIBRATION)
    again = f"calibrate again: `atmodist calibrate {shown}`"
    if calibration.normalization not in (None, normalization.identity):
        raise ValueError(
            f"{shown}: {CALIBRATION} belongs to normalization {calibration.normalization}; "
            f"{NORMALIZATION} is {normalization.identity}; {again}"
        )
    if calibration.weights not in (None, weights_digest(encoder)):
        raise ValueError(
            f"{shown}: {CALIBRATION} was made with other weights than those in {ENCODER}, which "
            f"may have been trained on since; {again}"
        )
    return calibration


def _write(run_folder: Path, target: Path, license: str, grid: Grid | None, name: str) -> None:
    package = load_package(run_folder)
    names = [ENCODER, NORMALIZATION]
    names += [CALIBRATION] if package.calibration is not None else []
    for file in names:
        shutil.copyfile(run_folder / file, target / file)
    grid = grid or package.grid
    manifest = {
        "license": license,
        "normalization": package.normalization.identity,
        "channels": list(package.normalization.channels),
        "units": list(package.normalization.units),
        "encoder": _described(package.encoder),
        "grid": None if grid is None else described_grid(grid),
        **_calibration_facts(package.calibration),
        "training": _training(package.manifest),
        "evaluation": _evaluation(run_folder, package.manifest),
    }
    (target / CARD).write_text(model_card(name, manifest), encoding="utf-8")
    FORMAT.write_manifest(target, (*names, CARD), manifest)


def _calibration_facts(calibration: "Calibration | None") -> dict[str, Any]:
    if calibration is None:
        return {"calibrated": False, "calibration": None}
    extent = calibration.extent
    return {
        "calibrated": True,
        "calibration": {
            "kind": None if extent is None else extent.kind,
            "fields": None if extent is None else str(extent),
            "max_hours": calibration.max_hours,
        },
    }


def _training(manifest: Mapping[str, Any]) -> Any:
    """The manifest of the run, without the folders of whoever ran it."""
    return without_folders(manifest.get("training", manifest))


def _evaluation(run_folder: Path, manifest: Mapping[str, Any]) -> Any:
    path = run_folder / EVALUATION
    if path.is_file() and path.stat().st_size <= TEXT_BYTES:
        return read_json(path)
    return manifest.get("evaluation")


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
