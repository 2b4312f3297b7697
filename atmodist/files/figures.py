"""What all our figures share: style, a canvas without a screen, and files.

Matplotlib is imported only when a figure is made. Figures are objects with an Agg canvas; pyplot,
its global state and its windows are not touched. The same figure gives the same bytes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atmodist.files.outputs import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#1f5fa8", "#d1700f", "#8a8a8a"
RESOLUTION = 160  # dots per inch of PNG, and of what is rasterised in PDF
STYLE: Any = {  # the keys of rc_context are a type of its own in matplotlib 3.11
    "font.family": "DejaVu Sans",  # comes with matplotlib; has ⁻¹, ζ and δ
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": RESOLUTION,
    "pdf.fonttype": 42,  # fonts embedded as they are; text in a PDF can be searched
    "svg.hashsalt": "atmodist",
}
# Files say nothing about when they were made, so that equal results are equal files.
_METADATA: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}


@contextmanager
def style() -> Iterator[None]:
    """Our style for what is drawn and saved inside; the caller's settings come back after it."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        yield


def new_canvas(**options: Any) -> "Figure":
    """A figure that can be saved; `options` are those of matplotlib's `Figure`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(**options)
    FigureCanvasAgg(figure)
    return figure


def save_figure(
    figure: "Figure", path: str | Path, suffixes: Sequence[str] = ("png", "pdf")
) -> list[Path]:
    """Writes `path` with each of the suffixes appended, atomically; returns the paths."""
    paths = [Path(f"{path}.{suffix}") for suffix in suffixes]
    for target, suffix in zip(paths, suffixes, strict=True):
        with atomic_path(target) as temporary:
            figure.savefig(
                temporary, format=suffix, dpi=RESOLUTION, metadata=_METADATA.get(suffix, {})
            )
    return paths


def cell_edges(centres: np.ndarray) -> np.ndarray:
    """Edges midway between centres; the outer ones as far from their centre as the inner ones."""
    if len(centres) == 1:
        return centres[0] + np.array([-0.5, 0.5])
    middle = (centres[:-1] + centres[1:]) / 2
    ends = 2 * centres[[0]] - middle[0], 2 * centres[[-1]] - middle[-1]
    return np.concatenate([ends[0], middle, ends[1]])
