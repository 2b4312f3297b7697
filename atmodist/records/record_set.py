"""A folder of records, and `records.json`, which says what is in it.

Records lie in `<folder>/<dataset>/<version>/`, as TensorFlow Datasets expects them. Beside them,
`records.json` holds what a reader needs to know before it opens a shard: shapes, labels, the
normalisation, and how many records and bytes each shard has, so that a shard which is cut off or
missing is noticed at once. Plain shards also get the metadata of TensorFlow Datasets, which cannot
read compressed ones. Files without `records.json`, as the reference implementation writes them,
are described from their first records.
"""

import dataclasses
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atmodist import outputs
from atmodist.records.files import (
    COMPRESSIONS,
    SHARD_NAME,
    Compression,
    DamagedShardError,
    RecordsDigest,
    detect_compression,
    read_payloads,
    shard_name,
    verify_shard,
)
from atmodist.records.format import PAIR_FEATURES, decode_pair

SIDECAR = "records.json"
FORMAT_VERSION = 1
BARE_SPLIT = "all"  # the split of files that do not say which they belong to
REFERENCE_NAME = re.compile(r"rplearn_(?P<split>train|eval)(?![a-z]).*\.tfrecords")
REFERENCE_SPLITS = {"train": "train", "eval": "evaluation"}
COMPRESSED_NOTE = (
    "TensorFlow Datasets cannot read compressed shards, so there is no metadata for it here; "
    "read them with atmodist, or with tf.data.TFRecordDataset and its compression_type."
)
NAMING_HINT = (
    f"Without {SIDECAR}, the names of the files tell their splits: rplearn_train*.tfrecords "
    "(train) and rplearn_eval*.tfrecords (evaluation), or "
    "<dataset>-<split>.tfrecord-00000-of-00004."
)
_CHANNELS = ("divergence", "vorticity")  # where two channels are not named


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One file of records.

    Attributes:
        name: File name within the folder.
        num_records: How many records it holds; None if nobody counted.
        num_bytes: Its length.
        digest: `RecordsDigest` of its records; None if nobody computed it.
    """

    name: str
    num_records: int | None
    num_bytes: int
    digest: str | None = None

    @classmethod
    def measure(
        cls, path: str | Path, num_records: int | None, digest: str | None = None
    ) -> "Shard":
        """Describes the file at `path`; its digest is computed unless it is given."""
        path = Path(path)
        return cls(
            name=path.name,
            num_records=num_records,
            num_bytes=path.stat().st_size,
            digest=digest or RecordsDigest.of(path),
        )


@dataclass(frozen=True, kw_only=True)
class RecordSet:
    """Records of pairs of patches: what they hold and in which files.

    Attributes:
        folder: Where the shards lie.
        dataset: Name for TensorFlow Datasets, in lower case.
        version: Three numbers, for instance "1.0.0".
        splits: Name of the split, such as "train", to its shards in order.
        patch_shape: (latitude, longitude) grid points.
        channels: Names of the channels, in order.
        max_label: The largest temporal distance, in archive time steps.
        compression: Of all shards.
        normalization: Identity of the normalisation applied; None if it is not known.
        features: Names of the features in each record.
        metadata: Anything else worth keeping that JSON can hold.
    """

    folder: Path
    dataset: str
    version: str = "1.0.0"
    splits: Mapping[str, tuple[Shard, ...]]
    patch_shape: tuple[int, int]
    channels: tuple[str, ...]
    max_label: int
    compression: Compression = "none"
    normalization: str | None = None
    features: tuple[str, ...] = tuple(PAIR_FEATURES)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(latitude, longitude, channel) of a patch."""
        return (*self.patch_shape, len(self.channels))

    def shards(self, split: str) -> tuple[Shard, ...]:
        """The shards of a split; a wrong name raises `ValueError` with the right ones."""
        if split not in self.splits:
            bare = any(
                shard.num_records is None for shards in self.splits.values() for shard in shards
            )
            raise ValueError(
                f"{self.folder} has no split {split!r}; it has {', '.join(sorted(self.splits))}."
                + (f" {NAMING_HINT}" if bare else "")
            )
        return self.splits[split]

    def paths(self, split: str) -> list[Path]:
        """The files of a split, in order."""
        return [self.folder / shard.name for shard in self.shards(split)]

    def num_records(self, split: str) -> int | None:
        """How many records a split has; None if nobody counted."""
        counts = [shard.num_records for shard in self.shards(split)]
        return None if None in counts else sum(count for count in counts if count is not None)

    def save(self) -> Path:
        """Writes `records.json` into the folder and returns its path."""
        content = dataclasses.asdict(self)
        del content["folder"]
        if self.compression != "none":
            content["note"] = COMPRESSED_NOTE
        outputs.write_json(self.folder / SIDECAR, {"format_version": FORMAT_VERSION, **content})
        return self.folder / SIDECAR

    @classmethod
    def load(cls, folder: str | Path) -> "RecordSet":
        """Reads `records.json` of a folder, or of the only `<dataset>/<version>` below it."""
        sidecar = _find_sidecar(Path(folder))
        try:
            return _from_json(sidecar.parent, outputs.read_json(sidecar))
        except (KeyError, TypeError, AttributeError, _WrongContentError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise ValueError(
                f"{sidecar} does not describe records ({reason}); was it edited or cut?"
            ) from None

    def require_complete(self, split: str) -> None:
        """Raises `ValueError` for a shard that is missing or not as long as it was written."""
        for path, shard in zip(self.paths(split), self.shards(split), strict=True):
            if not path.is_file():
                raise ValueError(f"{path} is missing, although {SIDECAR} lists it; restore it.")
            if (size := path.stat().st_size) != shard.num_bytes:
                raise ValueError(
                    f"{path} has {size:,} bytes, but was written with {shard.num_bytes:,}; "
                    "make the records again or restore the file."
                )

    def find_damage(self, split: str | None = None) -> Iterator[ValueError]:
        """Reads all shards (of one split) and yields what is wrong with them.

        Checked are checksums, numbers of records, shapes, labels, and the digest where there is
        one; what cannot be read is a `DamagedShardError`.
        """
        for name in [split] if split is not None else list(self.splits):
            for path, shard in zip(self.paths(name), self.shards(name), strict=True):
                try:
                    self._verify(path, shard)
                except (ValueError, OSError) as error:
                    yield error if isinstance(error, ValueError) else ValueError(str(error))

    def _verify(self, path: Path, shard: Shard) -> None:
        digest = RecordsDigest()

        def check(payload: bytes) -> None:
            self._check_pair(payload)
            digest.update(payload)

        verify_shard(path, compression=self.compression, expected=shard.num_records, check=check)
        if shard.digest is not None and digest.hexdigest() != shard.digest:
            raise ValueError(
                f"{path} is readable, but not the file that was written (its digest differs from "
                f"{SIDECAR}); make the records again or restore the file."
            )

    def _check_pair(self, payload: bytes) -> None:
        pair = decode_pair(payload)
        if pair["patch1"].shape != self.shape:
            raise ValueError(f"its shape is {pair['patch1'].shape}, that of the set {self.shape}")
        if not 1 <= pair["label"] <= self.max_label:
            raise ValueError(f"its label is {pair['label']}, not in 1 to {self.max_label}")


def records_folder(root: str | Path, dataset: str, version: str = "1.0.0") -> Path:
    """`<root>/<dataset>/<version>`, where `tfds.load(dataset, data_dir=root)` looks."""
    shard_name(dataset, "train", 0, 1)  # refuses what cannot be the name of a dataset
    return Path(root) / dataset / version


def open_records(source: str | Path | Iterable[str | Path]) -> RecordSet:
    """Opens a folder made by `rplearn-data`, or bare TFRecord files of pairs.

    Args:
        source: A folder with `records.json`; or a folder of `*.tfrecords` files, one such file, or
            several, as the reference implementation writes them. `rplearn_train*.tfrecords` are
            the split "train", `rplearn_eval*.tfrecords` are "evaluation",
            `<dataset>-<split>.tfrecord-00000-of-00004` say it themselves; others form "all".
    """
    if not isinstance(source, (str, Path)):
        return _describe_files([Path(path) for path in source])
    path = Path(source)
    if path.is_file():
        return _describe_files([path])
    bare = [] if not path.is_dir() else sorted(path.glob("*.tfrecord*"))
    if bare and not (path / SIDECAR).exists():
        return _describe_files(bare)
    return RecordSet.load(path)


class _WrongContentError(Exception):
    """What is wrong in `records.json`."""


def _find_sidecar(folder: Path) -> Path:
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder of records; there is no such folder.")
    found = [
        path
        for pattern in (SIDECAR, f"*/{SIDECAR}", f"*/*/{SIDECAR}")
        for path in sorted(folder.glob(pattern))
    ]
    if not found:
        raise ValueError(
            f"{folder} is no folder of records: it has neither {SIDECAR} nor *.tfrecords files. "
            "Make records with rplearn-data."
        )
    if len(found) > 1 and found[0].parent != folder:
        choices = ", ".join(str(path.parent) for path in found)
        raise ValueError(f"{folder} holds several sets of records; name one of {choices}.")
    return found[0]


def _from_json(folder: Path, content: dict[str, Any]) -> RecordSet:
    if not isinstance(content, dict):
        raise _WrongContentError(f"expected a dictionary; got {type(content).__name__}")
    content = dict(content)
    content.pop("note", None)
    version = content.pop("format_version")
    if version != FORMAT_VERSION:
        raise _WrongContentError(
            f"format_version is {version!r}, this atmodist reads {FORMAT_VERSION}"
        )
    if content["compression"] not in COMPRESSIONS:
        raise _WrongContentError(f"compression is {content['compression']!r}")
    names = {entry.name for entry in dataclasses.fields(RecordSet)} - {"folder"}
    if names != set(content):
        wrong = ", ".join(sorted(names ^ set(content)))
        raise _WrongContentError(f"entries missing or unknown: {wrong}")
    patch_shape = content["patch_shape"]
    if not isinstance(patch_shape, list) or len(patch_shape) != 2:
        raise _WrongContentError(f"patch_shape must be two integers; got {patch_shape!r}")
    if not isinstance(content["metadata"], dict):
        raise _WrongContentError(f"metadata must be a dictionary; got {content['metadata']!r}")
    height, width = (_positive("patch_shape", size) for size in patch_shape)
    for name in ("features", "channels"):
        content[name] = tuple(map(str, content[name]))
    content["patch_shape"] = height, width
    content["max_label"] = _positive("max_label", content["max_label"])
    content["splits"] = {
        str(split): tuple(_shard_from_json(shard) for shard in shards)
        for split, shards in content["splits"].items()
    }
    return RecordSet(folder=folder, **content)


def _shard_from_json(content: dict[str, Any]) -> Shard:
    shard = Shard(**content)
    # A name is used to open a file: it must not lead out of the folder.
    if not isinstance(shard.name, str) or not SHARD_NAME.fullmatch(shard.name):
        raise _WrongContentError(f"{shard.name!r} is not the name of a shard")
    _positive("num_bytes", shard.num_bytes, least=0)
    if shard.num_records is not None:
        _positive("num_records", shard.num_records, least=0)
    return shard


def _positive(name: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise _WrongContentError(f"{name} must be an integer >= {least}; got {value!r}")
    return value


def _describe_files(paths: list[Path]) -> RecordSet:
    if not paths:
        raise ValueError("expected at least one TFRecord file; got none.")
    folder = Path(os.path.commonpath([path.parent.absolute() for path in paths]))
    splits: dict[str, tuple[Shard, ...]] = {}
    facts, common = {}, set(PAIR_FEATURES)
    for path in paths:
        compression = detect_compression(path)
        pair = _first_pair(path, compression)
        facts[path] = compression, pair["T_max"], pair["patch1"].shape
        common &= set(pair)
        name = os.path.relpath(path.absolute(), folder)
        shard = Shard(name=name, num_records=None, num_bytes=path.stat().st_size)
        split = _split_of(path.name)
        splits[split] = (*splits.get(split, ()), shard)
    if len(set(facts.values())) > 1:
        listed = "; ".join(f"{path.name}: {fact}" for path, fact in facts.items())
        raise ValueError(
            f"all files must agree in (compression, T_max, (H, W, C)); got {listed}. "
            "Name the files that belong together."
        )
    compression, max_label, (height, width, channels) = facts[paths[0]]
    return RecordSet(
        folder=folder,
        dataset="pairs",
        splits=splits,
        patch_shape=(height, width),
        channels=_CHANNELS if channels == 2 else tuple(f"channel{i}" for i in range(channels)),
        max_label=max_label,
        compression=compression,
        features=tuple(name for name in PAIR_FEATURES if name in common),
    )


def _split_of(name: str) -> str:
    if match := SHARD_NAME.fullmatch(name):
        return match["split"]
    match = REFERENCE_NAME.fullmatch(name)
    return REFERENCE_SPLITS[match["split"]] if match else BARE_SPLIT


def _first_pair(path: Path, compression: Compression) -> dict[str, Any]:
    payload = next(read_payloads(path, compression=compression))
    try:
        return decode_pair(payload)
    except ValueError as error:
        raise DamagedShardError(path, 1, str(error)) from None
