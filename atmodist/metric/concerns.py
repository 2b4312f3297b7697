"""What is doubtful about distances and hours of the fields of a grid, in words."""

from atmodist.fields.described_grid import spacing_degrees
from atmodist.fields.grid import Grid
from atmodist.metric.calibration import Calibration
from atmodist.metric.extent import differ


def concerns(
    grid: Grid, *, calibration: Calibration | None, training_grid: Grid | None
) -> list[str]:
    """What is doubtful about distances and hours of fields on a grid, a line each.

    Args:
        grid: Of the fields.
        calibration: Of the encoder, if it has one.
        training_grid: Of the fields that the encoder was trained on; if it is unknown, that of the
            calibration stands for it.
    """
    known = None if training_grid is None else spacing_degrees(training_grid)
    found = []
    if calibration is not None:
        found.append(calibration.concern(grid))
        if known is None and calibration.extent is not None:
            known = calibration.extent.spacing_degrees
    if known is not None:
        found.append(spacing_concern(known, grid))
    return [concern for concern in found if concern is not None]


def spacing_concern(known: tuple[float, float], grid: Grid) -> str | None:
    """Says so if a grid is much coarser or finer than the (latitude, longitude) degrees known."""
    found = spacing_degrees(grid)
    if not differ(known, found):
        return None
    return (
        f"the fields have a spacing of {found[0]:.4g} x {found[1]:.4g} degrees; the encoder was "
        f"trained on {known[0]:.4g} x {known[1]:.4g} degrees, and knows no other scales"
    )
