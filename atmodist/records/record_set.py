"""A folder of records of any kind, and `records.json`, which says what is in it.

Records lie in `<folder>/<dataset>/<version>/`, as TensorFlow Datasets expects them. Beside them,
`records.json` holds what a reader needs to know before it opens a shard: shapes, the
normalisation, and how many records and bytes each shard has, so that a shard which is cut off or
missing is noticed at once. Plain shards also get the metadata of TensorFlow Datasets, which cannot
read compressed ones. Files without `records.json`, as the reference implementation writes them,
are described from their first records.

A kind of record (pairs, patches of two resolutions) is a subclass: it adds what its records have
in common, and says how one is decoded and checked.
"""

import dataclasses
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from atmodist.files import outputs
from atmodist.files.file_kinds import file_kind, mismatch
from atmodist.records.example import FeatureType
from atmodist.records.frames import (
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
from atmodist.records.shard import (
    Shard,
    WrongContentError,
    checked_shape,
    shard_from_json,
)

SIDECAR = "records.json"
FORMAT_VERSION = 1
BARE_SPLIT = "all"  # the split of files that do not say which they belong to
REFERENCE_NAME = re.compile(r"(?P<task>rplearn|sr)_(?P<split>train|eval)(?![a-z]).*\.tfrecords")
REFERENCE_SPLITS = {"train": "train", "eval": "evaluation"}
FIRST_KIND = "pairs"  # of records.json files that do not say it; there was no other
COMPRESSED_NOTE = (
    "TensorFlow Datasets cannot read compressed shards, so there is no metadata for it here; "
    "read them with atmodist, or with tf.data.TFRecordDataset and its compression_type."
)
_CHANNELS = ("divergence", "vorticity")  # where two channels are not named


@dataclass(frozen=True, kw_only=True)
class RecordSet(ABC):
    """Records of one kind: what they hold and in which files.

    Attributes:
        folder: Where the shards lie.
        dataset: Name for TensorFlow Datasets, in lower case.
        version: Three numbers, for instance "1.0.0".
        splits: Name of the split, such as "train", to its shards in order.
        patch_shape: (latitude, longitude) grid points; of the high resolution, if there are two.
        channels: Names of the channels, in order.
        compression: Of all shards.
        normalization: Identity of the normalisation applied; None if it is not known.
        features: Names of the features in each record.
        metadata: Anything else worth keeping that JSON can hold.
    """

    kind: ClassVar[str]  # as in records.json
    command: ClassVar[str]  # that makes them
    task: ClassVar[str]  # with which the reference implementation's file names begin
    description: ClassVar[str]  # for TensorFlow Datasets
    feature_types: ClassVar[Mapping[str, FeatureType]]

    folder: Path
    dataset: str
    version: str = "1.0.0"
    splits: Mapping[str, tuple[Shard, ...]]
    patch_shape: tuple[int, int]
    channels: tuple[str, ...]
    compression: Compression = "none"
    normalization: str | None = None
    features: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    @abstractmethod
    def decode(cls, payload: bytes) -> dict[str, Any]:
        """The features of a record; raises `ValueError` if it is none of this kind."""

    @abstractmethod
    def check(self, record: dict[str, Any]) -> None:
        """Raises `ValueError` if a decoded record does not belong to this set."""

    @classmethod
    @abstractmethod
    def common_facts(cls, record: dict[str, Any]) -> dict[str, Any]:
        """What a record says of all: arguments of this class, and "num_channels"."""

    @classmethod
    def checked_content(cls, content: dict[str, Any]) -> dict[str, Any]:
        """The entries of `records.json` that only this kind has, checked."""
        return {}

    @abstractmethod
    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the features that are float32 arrays, by name."""

    def facts(self) -> dict[str, Any]:
        """What the kind says of all its records, for the metadata of TensorFlow Datasets."""
        general = {entry.name for entry in dataclasses.fields(RecordSet)}
        own = [entry.name for entry in dataclasses.fields(self) if entry.name not in general]
        return {name: getattr(self, name) for name in ("channels", *own, "normalization")}

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
                + (f" {self._naming_hint()}" if bare else "")
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
        content = {"kind": self.kind, **dataclasses.asdict(self)}
        del content["folder"]
        if self.compression != "none":
            content["note"] = COMPRESSED_NOTE
        outputs.write_json(self.folder / SIDECAR, {"format_version": FORMAT_VERSION, **content})
        return self.folder / SIDECAR

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Reads `records.json` of a folder, or of the only `<dataset>/<version>` below it."""
        sidecar = _find_sidecar(Path(folder), cls.command)
        try:
            return cls._from_json(sidecar.parent, outputs.read_json(sidecar))
        except (KeyError, TypeError, AttributeError, WrongContentError) as error:
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
            self.check(self.decode(payload))
            digest.update(payload)

        verify_shard(path, compression=self.compression, expected=shard.num_records, check=check)
        if shard.digest is not None and digest.hexdigest() != shard.digest:
            raise ValueError(
                f"{path} is readable, but not the file that was written (its digest differs from "
                f"{SIDECAR}); make the records again or restore the file."
            )

    @classmethod
    def open(cls, source: str | Path | Iterable[str | Path]) -> Self:
        """Opens a folder with `records.json`, or bare TFRecord files; see `open_records`."""
        if not isinstance(source, (str, Path)):
            return cls._describe_files([Path(path) for path in source])
        path = Path(source)
        if path.is_file():
            return cls._describe_files([path])
        bare = [] if not path.is_dir() else sorted(path.glob("*.tfrecord*"))
        if bare and not (path / SIDECAR).exists():
            return cls._describe_files(bare)
        return cls.load(path)

    @classmethod
    def _from_json(cls, folder: Path, content: dict[str, Any]) -> Self:
        if not isinstance(content, dict):
            raise WrongContentError(f"expected a dictionary; got {type(content).__name__}")
        content = {"kind": FIRST_KIND, **content}
        content.pop("note", None)
        kind = content.pop("kind")
        if kind != cls.kind:
            raise ValueError(
                f"{folder} holds records of the kind {kind!r}; expected {cls.kind!r}, which "
                f"{cls.command} makes"
            )
        version = content.pop("format_version")
        if version != FORMAT_VERSION:
            raise WrongContentError(
                f"format_version is {version!r}, this atmodist reads {FORMAT_VERSION}"
            )
        if content["compression"] not in COMPRESSIONS:
            raise WrongContentError(f"compression is {content['compression']!r}")
        names = {entry.name for entry in dataclasses.fields(cls)} - {"folder"}
        if names != set(content):
            wrong = ", ".join(sorted(names ^ set(content)))
            raise WrongContentError(f"entries missing or unknown: {wrong}")
        if not isinstance(content["metadata"], dict):
            raise WrongContentError(f"metadata must be a dictionary; got {content['metadata']!r}")
        for name in ("features", "channels"):
            content[name] = tuple(map(str, content[name]))
        content["patch_shape"] = checked_shape("patch_shape", content["patch_shape"])
        content["splits"] = {
            str(split): tuple(shard_from_json(shard) for shard in shards)
            for split, shards in content["splits"].items()
        }
        return cls(folder=folder, **{**content, **cls.checked_content(content)})

    @classmethod
    def _describe_files(cls, paths: list[Path]) -> Self:
        if not paths:
            raise ValueError("expected at least one TFRecord file; got none.")
        folder = Path(os.path.commonpath([path.parent.absolute() for path in paths]))
        splits: dict[str, tuple[Shard, ...]] = {}
        facts, common = {}, set(cls.feature_types)
        for path in paths:
            cls._require_no_other_kind(path)
            compression = detect_compression(path)
            record = cls._first_record(path, compression)
            facts[path] = {"compression": compression, **cls.common_facts(record)}
            common &= set(record)
            name = os.path.relpath(path.absolute(), folder)
            shard = Shard(name=name, num_records=None, num_bytes=path.stat().st_size)
            split = _split_of(path.name)
            splits[split] = (*splits.get(split, ()), shard)
        agreed = facts[paths[0]]
        if any(fact != agreed for fact in facts.values()):
            listed = "; ".join(f"{path.name}: {fact}" for path, fact in facts.items())
            raise ValueError(
                f"all files must agree in {', '.join(agreed)}; got {listed}. "
                "Name the files that belong together."
            )
        channels = agreed.pop("num_channels")
        return cls(
            folder=folder,
            dataset=cls.kind,
            splits=splits,
            channels=_CHANNELS if channels == 2 else tuple(f"channel{i}" for i in range(channels)),
            features=tuple(name for name in cls.feature_types if name in common),
            **agreed,
        )

    @classmethod
    def _require_no_other_kind(cls, path: Path) -> None:
        """Records have no mark of their own, but what has one, or is text, is something else."""
        kind = file_kind(path)
        if kind == "hdf5":
            raise ValueError(
                f"{path} is an HDF5 file, not TFRecords; if it is an archive, make records of it "
                f"first: {cls.command} {path}"
            )
        if kind in ("grib", "classic NetCDF", "CDF-5", "html", "text"):
            raise ValueError(mismatch(path, f"TFRecords, which {cls.command} makes"))

    @classmethod
    def _first_record(cls, path: Path, compression: Compression) -> dict[str, Any]:
        payload = next(read_payloads(path, compression=compression))
        try:
            return cls.decode(payload)
        except ValueError as error:
            raise DamagedShardError(path, 1, str(error)) from None

    @classmethod
    def _naming_hint(cls) -> str:
        return (
            f"Without {SIDECAR}, the names of the files tell their splits: "
            f"{cls.task}_train*.tfrecords (train) and {cls.task}_eval*.tfrecords (evaluation), or "
            "<dataset>-<split>.tfrecord-00000-of-00004."
        )


def records_folder(root: str | Path, dataset: str, version: str = "1.0.0") -> Path:
    """`<root>/<dataset>/<version>`, where `tfds.load(dataset, data_dir=root)` looks."""
    shard_name(dataset, "train", 0, 1)  # refuses what cannot be the name of a dataset
    return Path(root) / dataset / version


def _find_sidecar(folder: Path, command: str) -> Path:
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
            f"Make records with {command}."
        )
    if len(found) > 1 and found[0].parent != folder:
        choices = ", ".join(str(path.parent) for path in found)
        raise ValueError(f"{folder} holds several sets of records; name one of {choices}.")
    return found[0]


def _split_of(name: str) -> str:
    if match := SHARD_NAME.fullmatch(name):
        return match["split"]
    match = REFERENCE_NAME.fullmatch(name)
    return REFERENCE_SPLITS[match["split"]] if match else BARE_SPLIT
