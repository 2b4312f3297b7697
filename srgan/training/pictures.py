"""A picture of super-resolved patches. Only drawing; matplotlib loads when it is called for."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atmodist.files.outputs import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("coarse", "bicubic", "generated", "true")
MAX_CHANNELS = 3
INCHES = 1.8
RESOLUTION = 120  # dots per inch


def draw_samples(path: Path, fields: Sequence[np.ndarray], channels: Sequence[str]) -> None:
    """Draws coarse, interpolated, generated and true fields side by side.

    Each row has one scale, symmetric about zero, that of the true field.

    Args:
        path: A PNG file.
        fields: In the order of `COLUMNS`, each (sample, latitude, longitude, channel), normalised.
        channels: Their names; the first three are drawn.
    """
    figure = sample_figure(fields, channels)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=RESOLUTION)


def sample_figure(fields: Sequence[np.ndarray], channels: Sequence[str]) -> "Figure":
    """The figure of `draw_samples`: a row for each sample and channel, titles above the first."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    truth = fields[-1]
    drawn = [(i, c) for i in range(len(truth)) for c in range(len(channels))[:MAX_CHANNELS]]
    size = (INCHES * (len(COLUMNS) + 0.4), INCHES * len(drawn))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(drawn), len(COLUMNS), squeeze=False)
    for axis, name in zip(panels[0], COLUMNS, strict=True):
        axis.set_title(name, fontsize=9)
    for row, (sample, channel) in zip(panels, drawn, strict=True):
        scale = float(np.abs(truth[sample, ..., channel]).max()) or 1.0
        for axis, field in zip(row, fields, strict=True):
            axis.imshow(field[sample, ..., channel], cmap="RdBu_r", vmin=-scale, vmax=scale)
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(channels[channel], fontsize=8)
    return figure
