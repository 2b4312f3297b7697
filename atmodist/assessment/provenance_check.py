"""Whether records were drawn from an archive: some of their patches are looked up in it.

The fingerprint of a file says less: the same fields may lie in another layout, be joined from
files, or go on to a later year. An archive of other weather, though, would make maps and controls
that look right and mean nothing.
"""

import numpy as np

from atmodist.assessment.control_fields import locate, window
from atmodist.assessment.predictions import stream_pairs
from atmodist.fields.archive import Archive
from atmodist.fields.normalization import Normalization
from atmodist.fields.time_axis import TimeAxis
from atmodist.pairs.pair_records import PairRecords

NUM_CHECKED = 8  # records that are looked up; samplers have shuffled them
TOLERANCE = 0.01  # normalised; rounding and lossy compression stay below, other weather is at 1

REMEDY = "give that one by --archive, or none"


def require_origin(
    archive: Archive, normalization: Normalization, records: PairRecords, split: str
) -> bool:
    """Refuses an archive that does not hold the first fields of the first records of a split.

    Args:
        archive: With the channels of the records.
        normalization: That of the records.
        records: What should have been drawn from it.
        split: A split of them.

    Returns:
        Whether this could be looked up: records of the reference implementation have no times.

    Raises:
        ValueError: If places, times or values of the records are not those of the archive.
    """
    if "time" not in records.features:
        return False
    batches = stream_pairs(
        records,
        split,
        num_classes=records.max_label,
        batch_size=NUM_CHECKED,
        desc="looking records up",
    )
    patches, pairs = next(iter(batches))
    rows, columns = locate(archive.grid, pairs)
    for patch, time, row, column in zip(patches[:, 0], pairs.time, rows, columns, strict=True):
        steps = np.flatnonzero(archive.time.seconds == time)
        if not len(steps):
            calendar = records.metadata.get("calendar", "standard")
            when = TimeAxis(np.array([time]), calendar).isoformat(0)
            raise ValueError(f"{_foreign(archive, records)}: it has no field at {when}; {REMEDY}.")
        step = int(steps[0])
        field = window(np.moveaxis(archive.read(step), 0, -1), row, column, records.patch_shape)
        error = float(np.abs(normalization(field) - patch).max())
        if not error <= TOLERANCE:  # so that NaN is refused too
            raise ValueError(
                f"{_foreign(archive, records)}: at {archive.time.isoformat(step)} a patch of them "
                f"differs from it by up to {error:.3g} (normalised); {REMEDY}."
            )
    return True


def _foreign(archive: Archive, records: PairRecords) -> str:
    return f"{archive.path} is not the archive that {records.folder} was drawn from"
