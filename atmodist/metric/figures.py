"""Small helpers for the figures of calibration and comparison: panels, and files without a screen.

Matplotlib is imported only when a figure is made. Figures use the Agg canvas directly, so that no
display is needed and the caller's settings of pyplot stay as they are.
"""

from pathlib import Path
from typing import Any

from atmodist.outputs import atomic_path

PANEL = (3.4, 2.8)  # inches
RESOLUTION = 150  # dots per inch of the PNG
MAX_COLUMNS = 4


def new_figure(num_panels: int, *, num_wide: int = 0) -> tuple[Any, list[Any]]:
    """Returns a figure and its axes, row by row.

    Args:
        num_panels: Panels of one column.
        num_wide: Further panels that share a last row.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(num_panels, MAX_COLUMNS)
    rows = -(-num_panels // columns)
    height = PANEL[1] * (rows + bool(num_wide))
    figure = Figure(figsize=(PANEL[0] * columns, height), layout="constrained")
    FigureCanvasAgg(figure)
    parts: Any = figure.subfigures(2, 1, height_ratios=[rows, 1]) if num_wide else [figure]
    axes = [parts[0].add_subplot(rows, columns, i + 1) for i in range(num_panels)]
    axes += [parts[-1].add_subplot(1, num_wide, i + 1) for i in range(num_wide)]
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save_figure(figure: Any, path: str | Path) -> list[Path]:
    """Writes `path` with the suffixes `.png` and `.pdf`, atomically; returns both paths."""
    paths = []
    for suffix in ("png", "pdf"):
        target = Path(f"{path}.{suffix}")
        with atomic_path(target) as temporary:
            figure.savefig(temporary, format=suffix, dpi=RESOLUTION)
        paths.append(target)
    return paths
