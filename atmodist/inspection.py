"""What a path contains, in words: an archive, records, a network, a normalisation, a manifest."""

from pathlib import Path

import h5py

from atmodist.fields.archive import Archive
from atmodist.learning import checkpoints
from atmodist.outputs import read_json
from atmodist.records.record_set import SIDECAR, RecordSet, open_records
from atmodist.samples.normalization import FORMAT as NORMALIZATION_FORMAT
from atmodist.samples.normalization import Normalization

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
        return describe_records(open_records(path), verify)
    if h5py.is_hdf5(path):
        return _inspect_archive(path, verify)
    raise ValueError(
        f"{path} is no archive (HDF5), record folder, network (.keras), normalisation or manifest"
    )


def has_networks(path: str | Path) -> bool:
    """Whether a path is a network, or a folder of networks, which takes Keras to describe."""
    path = Path(path)
    return path.suffix == NETWORK_SUFFIX or any(path.glob(f"*{NETWORK_SUFFIX}"))


def describe_records(records: RecordSet, verify: bool) -> str:
    """What a set of records holds, one line for each fact."""
    lines = [
        f"records   {records.folder}",
        f"dataset   {records.dataset} {records.version}, compression {records.compression}",
        f"pairs     2 patches of {' x '.join(map(str, records.shape))} "
        f"({', '.join(records.channels)}), labels 1..{records.max_label}",
        f"normal.   {records.normalization or 'unknown'}",
    ]
    for split, shards in records.splits.items():
        count = records.num_records(split)
        size = sum(shard.num_bytes for shard in shards) / 1e6
        number = "uncounted" if count is None else f"{count:,}"
        period = records.metadata.get("periods", {}).get(split)
        times = f", {period['start']} .. {period['end']}" if period else ""
        files = f"{len(shards)} shard{'' if len(shards) == 1 else 's'}"
        lines.append(f"{split:<9} {number} pairs in {files}, {size:,.1f} MB{times}")
    if "grid" in records.metadata:
        lines.append(f"grid      {records.metadata['grid']}")
    if records.metadata.get("step_seconds"):
        lines.append(f"step      {records.metadata['step_seconds']} s (label 1)")
    if verify:
        damage = [str(error) for error in records.find_damage()]
        if damage:
            raise ValueError("; ".join(damage))
        lines.append("verified  every record is intact")
    return "\n".join(lines)


def describe_network(path: Path) -> str:
    """Inputs, outputs and size of a saved Keras model, and the normalisation beside it."""
    from atmodist.learning.saving import load_network

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


def _inspect_folder(path: Path, verify: bool) -> str:
    networks = sorted(path.glob(f"*{NETWORK_SUFFIX}"))
    if networks:
        return _describe_networks(networks, verify)
    if any(path.glob("*.tfrecord*")) or any(path.glob(f"**/{SIDECAR}")):
        return describe_records(open_records(path), verify)
    if place := checkpoints.latest(path):
        return _describe_unfinished_run(path, *place)
    if (path / checkpoints.LOCK).is_file():
        return f"run       {path}, without a checkpoint so far: it begins anew when it is run again"
    raise ValueError(f"{path} holds neither records nor networks")


def _describe_networks(networks: list[Path], verify: bool) -> str:
    parts = [describe_network(network) for network in networks]
    if (networks[0].parent / BEST).is_file():
        parts.append(_describe_best(networks[0].parent / BEST))
    if verify:
        parts.append("verified  nothing: networks carry no checksums, but they could be loaded")
    return "\n\n".join(parts)


def _describe_unfinished_run(path: Path, epoch: int, step: int | None) -> str:
    state = checkpoints.load_state(path, epoch, step, required=("config", "epoch"))
    counts = [state["config"].get(name) or 0 for name in ("warmup_epochs", "epochs")]
    done = f"{state['epoch']} of {sum(counts)} epochs" + (f" and {step} steps" if step else "")
    lines = [f"run       {path}, not finished: {done} so far"]
    if task := state["config"].get("task"):
        lines.append(f"task      {task}")
    if (path / BEST).is_file():
        lines.append(_describe_best(path / BEST))
    lines.append("next      run the same rplearn-train again to go on")
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
