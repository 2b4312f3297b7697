"""A picture of reconstructed fields. Only drawing; matplotlib loads when it is called for."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atmodist.files.outputs import atomic_path

COLUMNS = ("given", "answer", "truth")
MAX_CHANNELS = 3
INCHES = 1.8
RESOLUTION = 120  # dots per inch


def draw_reconstructions(
    path: Path, given: np.ndarray, answer: np.ndarray, truth: np.ndarray, channels: Sequence[str]
) -> None:
    """Draws given, answered and true fields side by side, on one scale for each row.

    Args:
        path: A PNG file.
        given: (sample, latitude, longitude, channel), normalised; NaN where hidden.
        answer: Of the same shape.
        truth: Of the same shape.
        channels: Their names; the first three are drawn.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = [(i, c) for i in range(len(truth)) for c in range(len(channels))[:MAX_CHANNELS]]
    size = (INCHES * (len(COLUMNS) + 0.4), INCHES * len(drawn))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(drawn), len(COLUMNS), squeeze=False)
    for axis, name in zip(panels[0], COLUMNS, strict=True):
        axis.set_title(name, fontsize=9)
    for row, (sample, channel) in zip(panels, drawn, strict=True):
        scale = float(np.abs(truth[sample, ..., channel]).max()) or 1.0
        for axis, fields in zip(row, (given, answer, truth), strict=True):
            axis.imshow(fields[sample, ..., channel], cmap="RdBu_r", vmin=-scale, vmax=scale)
            axis.set_facecolor("0.6")  # shows where a field is hidden
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(channels[channel], fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=RESOLUTION)
