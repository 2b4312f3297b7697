"""Metadata by which TensorFlow Datasets reads records, with types, splits and counts.

It lies beside `records.json`, which we read ourselves: TensorFlow Datasets takes seconds to import
and cannot read compressed shards.
"""

from typing import Any

from atmodist import outputs
from atmodist.records.format import PAIR_FEATURES
from atmodist.records.record_set import RecordSet


def write_tfds_metadata(records: RecordSet, **metadata: Any) -> None:
    """Writes what TensorFlow Datasets needs to read the records; nothing if they are compressed.

    Afterwards `tfds.load(records.dataset, data_dir=...)` and `tfds.builder_from_directory(folder)`
    read them. This imports TensorFlow.

    Args:
        records: Plain shards named by `shard_name`, all counted.
        **metadata: Ends up in `builder.info.metadata`, beside that of `records`; JSON types.
    """
    if records.compression != "none":
        return
    import numpy as np
    import tensorflow_datasets as tfds

    patch = tfds.features.Tensor(shape=records.shape, dtype=np.float32, encoding="bytes")
    scalars = {"int64": tfds.features.Scalar(np.int64), "float32": tfds.features.Scalar(np.float32)}
    kinds = {name: PAIR_FEATURES[name] for name in records.features}
    splits = [
        tfds.core.SplitInfo(
            name=split,
            shard_lengths=[shard.num_records for shard in shards],
            num_bytes=sum(shard.num_bytes for shard in shards),
        )
        for split, shards in records.splits.items()
    ]
    content = {
        "channels": records.channels,
        "max_label": records.max_label,
        "normalization": records.normalization,
        **records.metadata,
        **metadata,
    }
    tfds.folder_dataset.write_metadata(
        data_dir=records.folder,
        features={name: scalars.get(kind, patch) for name, kind in kinds.items()},
        split_infos=splits,
        version=records.version,
        check_data=False,
        description="Pairs of atmospheric fields; `label` is how many time steps they are apart.",
        metadata=tfds.core.MetadataDict(outputs.plain_config(content)),
    )
