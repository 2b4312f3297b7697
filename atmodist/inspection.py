"""What a path contains, in words: archives, data, records, networks, packages, embeddings.

Kinds of records, and layers of networks, are known once the modules that define them are imported.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from atmodist.embedding.output import is_embedding, open_rows
from atmodist.fields.archive import Archive, is_archive
from atmodist.fields.cf.describe import some
from atmodist.fields.described_grid import grid_of
from atmodist.fields.normalization import FORMAT as NORMALIZATION_FORMAT
from atmodist.fields.normalization import Normalization
from atmodist.fields.time_axis import NO_CALENDAR, TimeAxis
from atmodist.fields.zarr_store import is_zarr
from atmodist.files.errors import BrokenFileError
from atmodist.files.outputs import read_json
from atmodist.files.packaging import MANIFEST
from atmodist.ingestion.recognition import Selection
from atmodist.ingestion.sources import scan_file
from atmodist.pairs.pair_records import SIDECAR, PairRecords
from atmodist.records.record_set import REFERENCE_NAME, RecordSet
from atmodist.training import checkpoints

NETWORK_SUFFIX = ".keras"
BEST = "best.json"  # which checkpoint of a run it is, with its scores


def inspect_path(path: str | Path, *, verify: bool = False) -> str:
    """Says what a path contains.

    Args:
        path: A file or a folder.
        verify: Also read all of it, and check every value (archive) or checksum (records).

    Returns:
        A few lines of text.

    Raises:
        FileNotFoundError: If there is nothing.
        ValueError: If it is nothing we know, or, with `verify`, if it is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    if path.is_dir():
        return _inspect_folder(path, verify)
    if path.suffix == NETWORK_SUFFIX:
        return _describe_networks([path], verify)
    if path.suffix == ".json":
        return _inspect_json(path)
    if ".tfrecord" in path.name:
        return _describe_files(path, verify)
    if is_embedding(path):
        return _describe_embedding(path)
    if is_archive(path) or _is_damaged(path):
        return _inspect_archive(path, verify)
    return _describe_data(path)


def _is_damaged(path: Path) -> bool:
    """Whether it begins as HDF5 does, and cannot be opened."""
    if not h5py.is_hdf5(path):
        return False
    try:
        h5py.File(path, "r").close()
    except OSError:
        return True
    return False


def has_networks(path: str | Path) -> bool:
    """Whether a path is a network, or a folder of networks, which takes Keras to describe."""
    path = Path(path)
    return path.suffix == NETWORK_SUFFIX or any(path.glob(f"*{NETWORK_SUFFIX}"))


def describe_records(records: RecordSet, verify: bool) -> str:
    """What a set of records holds, one line for each fact."""
    noun = "pairs" if isinstance(records, PairRecords) else "records"
    lines = [
        f"records   {records.folder}",
        f"dataset   {records.dataset} {records.version}, compression {records.compression}",
        *_about_patches(records),
        f"normal.   {records.normalization or 'unknown'}",
    ]
    for split, shards in records.splits.items():
        count = records.num_records(split)
        size = sum(shard.num_bytes for shard in shards) / 1e6
        number = "uncounted" if count is None else f"{count:,}"
        period = records.metadata.get("periods", {}).get(split)
        times = f", {period['start']} .. {period['end']}" if period else ""
        files = f"{len(shards)} shard{'' if len(shards) == 1 else 's'}"
        lines.append(f"{split:<9} {number} {noun} in {files}, {size:,.1f} MB{times}")
    if "grid" in records.metadata:
        stored = records.metadata["grid"]  # in words, in records of version 0.1
        grid = stored if isinstance(stored, str) else grid_of(stored, f"{records.folder}: grid")
        lines.append(f"grid      {grid}")
    if records.metadata.get("step_seconds"):
        label = " (label 1)" if isinstance(records, PairRecords) else ""
        lines.append(f"step      {records.metadata['step_seconds']} s{label}")
    if verify:
        damage = [str(error) for error in records.find_damage()]
        if damage:
            raise ValueError("; ".join(damage))
        lines.append("verified  every record is intact")
    return "\n".join(lines)


def _about_patches(records: RecordSet) -> list[str]:
    """What a record is; of kinds other than pairs, whatever they say of themselves."""
    patch = f"{' x '.join(map(str, records.shape))} ({', '.join(records.channels)})"
    if isinstance(records, PairRecords):
        lines = [f"pairs     2 patches of {patch}, labels 1..{records.max_label}"]
        if records.is_of_reference:
            lines.append(
                "made by   the reference implementation: no times; colatitudes are converted"
            )
        return lines
    lines = [f"kind      {records.kind.replace('_', ' ')}", f"patches   {patch}"]
    if records.normalization is None:
        return lines  # bare files do not say what they are
    facts = {k: v for k, v in records.facts().items() if k not in ("channels", "normalization")}
    for name, value in facts.items():
        told = ", ".join(map(str, value)) if isinstance(value, tuple) else value
        lines.append(f"{name:<9} {'none' if told == '' else told}")
    return lines


def describe_network(path: Path) -> str:
    """Inputs, outputs and size of a saved Keras model, and the normalisation beside it."""
    from atmodist.training.saving import load_network

    model = load_network(path)
    lines = [f"network   {path} ({model.name})"]
    lines += [f"input     {tuple(tensor.shape)}" for tensor in model.inputs]
    outputs = dict(zip(model.output_names, model.outputs, strict=True))
    lines += [f"output    {name} {tuple(tensor.shape)}" for name, tensor in outputs.items()]
    lines.append(f"size      {model.count_params():,} parameters")
    sidecar = path.with_name("normalization.json")
    if sidecar.is_file():
        lines.append(str(Normalization.load(sidecar)))
    return "\n".join(lines)


def _inspect_archive(path: Path, verify: bool) -> str:
    with Archive(path) as archive:
        lines = [archive.summary()]
        lines += [
            f"{name:<9} {value}"
            for name, value in archive.attributes.items()
            if name in ("source", "history")
        ]
        if verify:
            archive.validate()
            lines.append("verified  every value is finite")
        return "\n".join(lines)


def _describe_embedding(path: Path) -> str:
    """Variables, stages and times of a table of features."""
    with open_rows(path) as file:
        variables = {
            name: file[name].shape for name in sorted(file) if file[name].dtype.kind == "f"
        }
        stages = ", ".join(map(str, file.attrs.get("stages", ())))
        seconds, calendar = file["time"][...], file["time"].attrs.get("calendar", NO_CALENDAR)
    lines = [f"embedding {path}", f"stages    {stages}"]
    lines += [f"variable  {name} {shape}" for name, shape in variables.items()]
    return "\n".join([*lines, f"time      {TimeAxis(seconds, str(calendar))}"])


def _describe_data(path: Path) -> str:
    """What a GRIB or NetCDF file or a Zarr store has of winds, vorticity and divergence.

    Raises:
        ValueError: If it is none of them.
    """
    try:
        contents = scan_file(str(path), Selection())
    except ImportError as error:
        raise ValueError(str(error)) from None
    except BrokenFileError as error:
        raise ValueError(
            f"{error}; nor is it an archive (HDF5), a record folder, a network (.keras), a "
            "normalisation or a manifest"
        ) from None
    lines = [f"data      {path}"]
    for series in contents.series:
        times = TimeAxis(np.unique(series.seconds), contents.calendar)
        lines += [
            f"variable  {series.name} ({series.variable}), level {series.level}",
            f"grid      {series.grid}",
            f"time      {times}",
        ]
    if contents.others:
        lines.append(f"others    {some(contents.others)}")
    lines += [f"note      {note}" for note in contents.notes]
    wanted = "atmodist ingest" if contents.series else "nothing here that atmodist ingest takes"
    return "\n".join([*lines, f"next      {wanted} {path}" if contents.series else wanted])


def _describe_package(path: Path, manifest: dict[str, Any]) -> str:
    """What the manifest of a package of a network says."""
    calibrated = "calibrated" if (path / "calibration.json").is_file() else "not calibrated"
    kind = str(manifest["format"])
    lines = [f"package   {path} ({kind}, version {manifest.get('version')})"]
    if "encoder" in kind:
        lines.append(f"hours     {calibrated}")
    if (grid := grid_of(manifest.get("grid"), f"{path}: its grid")) is not None:
        lines.append(f"grid      {grid}")
    return "\n".join(lines)


def _inspect_folder(path: Path, verify: bool) -> str:
    if is_zarr(path):
        return _describe_embedding(path) if is_embedding(path) else _describe_data(path)
    networks = sorted(path.glob(f"*{NETWORK_SUFFIX}"))
    if networks:
        return _describe_networks(networks, verify)
    sets = [path / SIDECAR] if (path / SIDECAR).is_file() else sorted(path.glob(f"**/{SIDECAR}"))
    if any(path.glob("*.tfrecord*")) and path / SIDECAR not in sets:
        return _describe_files(path, verify)
    if sets:
        found = [_kind_of(sidecar).load(sidecar.parent) for sidecar in sets]
        return "\n\n".join(describe_records(records, verify) for records in found)
    if place := checkpoints.latest(path):
        return _describe_unfinished_run(path, *place)
    if (path / checkpoints.LOCK).is_file():
        return f"run       {path}, without a checkpoint so far: it begins anew when it is run again"
    raise ValueError(f"{path} holds neither records nor networks")


def _describe_files(path: Path, verify: bool) -> str:
    """A file of records, or a folder of them without `records.json`."""
    sidecar = path.parent / SIDECAR
    if path.is_file() and sidecar.is_file():
        return describe_records(_kind_of(sidecar).open(path), verify)
    names = [path.name] if path.is_file() else [file.name for file in path.glob("*.tfrecord*")]
    tasks = {match["task"] for name in names if (match := REFERENCE_NAME.fullmatch(name))}
    kinds = [kind for kind in RecordSet.__subclasses__() if tasks == {kind.task}]
    return describe_records((kinds or [PairRecords])[0].open(path), verify)


def _kind_of(sidecar: Path) -> type[RecordSet]:
    """The class of the records that `records.json` describes."""
    content = read_json(sidecar)
    name = content.get("kind", PairRecords.kind) if isinstance(content, dict) else PairRecords.kind
    for kind in RecordSet.__subclasses__():
        if kind.kind == name:
            return kind
    raise ValueError(
        f"{sidecar.parent} holds records of the kind {name!r}, which is not known here"
    )


def _describe_networks(networks: list[Path], verify: bool) -> str:
    folder = networks[0].parent
    parts = [describe_network(network) for network in networks]
    manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else None
    if isinstance(manifest, dict) and "format" in manifest:
        parts.insert(0, _describe_package(folder, manifest))
    if (networks[0].parent / BEST).is_file():
        parts.append(_describe_best(networks[0].parent / BEST))
    if verify:
        parts.append("verified  nothing: networks carry no checksums, but they could be loaded")
    return "\n\n".join(parts)


def _describe_unfinished_run(path: Path, epoch: int, step: int | None) -> str:
    state = checkpoints.load_state(path, epoch, step, required=("config", "epoch"))
    config = state["config"]
    phases = ("warmup_epochs", "pretraining_epochs", "epochs")
    counts = [config.get(name) or 0 for name in phases]
    done = f"{state['epoch']} of {sum(counts)} epochs" + (f" and {step} steps" if step else "")
    lines = [f"run       {path}, not finished: {done} so far"]
    if task := config.get("task"):
        lines.append(f"task      {task}")
    if (path / BEST).is_file():
        lines.append(_describe_best(path / BEST))
    command = "phire-train" if "pretraining_epochs" in config else "rplearn-train"
    lines.append(f"next      run the same {command} again to go on")
    return "\n".join(lines)


def _describe_best(path: Path) -> str:
    """The best epoch, by its evaluation loss, and its other scores: every task has its own."""
    best = read_json(path)
    if not isinstance(best, dict) or not {"epoch", "loss"} <= best.keys():
        raise ValueError(f"{path} names no epoch and loss; was it edited?")
    scores = {name: value for name, value in best.items() if isinstance(value, float)}
    others = [name for name in scores if name != "loss"]
    texts = [f"evaluation loss {best['loss']:.3f}"]
    texts += [f"{name.replace('_', ' ')} {scores[name]:.3f}" for name in others]
    return f"best      epoch {best['epoch']}, {', '.join(texts)}"


def _inspect_json(path: Path) -> str:
    content = read_json(path)
    if isinstance(content, dict) and content.get("format") == NORMALIZATION_FORMAT:
        return str(Normalization.load(path))
    parts = [content.get(k) for k in ("config", "versions")] if isinstance(content, dict) else []
    if parts and all(isinstance(part, dict) for part in parts) and "command" in content:
        versions = ", ".join(f"{k} {v}" for k, v in content["versions"].items())
        settings = [f"  {k}: {v}" for k, v in content["config"].items()]
        return "\n".join([f"manifest of {content['command']} ({versions})", *settings])
    raise ValueError(f"{path} is JSON, but neither a normalisation nor a manifest")
