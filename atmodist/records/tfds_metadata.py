"""Metadata by which TensorFlow Datasets reads records, with types, splits and counts.

It lies beside `records.json`, which we read ourselves: TensorFlow Datasets takes seconds to import
and cannot read compressed shards.
"""

from typing import Any

from atmodist.files import outputs
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

    scalars = {"int64": tfds.features.Scalar(np.int64), "float32": tfds.features.Scalar(np.float32)}
    types = {name: scalars.get(records.feature_types[name]) for name in records.features}
    for name, shape in records.tensor_shapes().items():
        types[name] = tfds.features.Tensor(shape=shape, dtype=np.float32, encoding="bytes")
    splits = [
        tfds.core.SplitInfo(
            name=split,
            shard_lengths=[shard.num_records for shard in shards],
            num_bytes=sum(shard.num_bytes for shard in shards),
        )
        for split, shards in records.splits.items()
    ]
    content = {
        **records.facts(),
        **records.metadata,
        **metadata,
    }
    tfds.folder_dataset.write_metadata(
        data_dir=records.folder,
        features=types,
        split_infos=splits,
        version=records.version,
        check_data=False,
        description=records.description,
        metadata=tfds.core.MetadataDict(outputs.plain_config(content)),
    )
