"""Panels for the figures of calibration and comparison."""

from typing import Any

from atmodist.files.figures import new_canvas

PANEL = (3.4, 2.8)  # inches
MAX_COLUMNS = 4


def new_figure(num_panels: int, *, num_wide: int = 0) -> tuple[Any, list[Any]]:
    """Returns a figure and its axes, row by row.

    Args:
        num_panels: Panels of one column.
        num_wide: Further panels that share a last row.
    """
    columns = min(num_panels, MAX_COLUMNS)
    rows = -(-num_panels // columns)
    height = PANEL[1] * (rows + bool(num_wide))
    figure = new_canvas(figsize=(PANEL[0] * columns, height), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[rows, 1]) if num_wide else [figure]
    axes = [parts[0].add_subplot(rows, columns, i + 1) for i in range(num_panels)]
    axes += [parts[-1].add_subplot(1, num_wide, i + 1) for i in range(num_wide)]
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes
