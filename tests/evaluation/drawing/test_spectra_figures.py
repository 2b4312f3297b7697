import numpy as np

from evaluation.drawing import plotting
from evaluation.drawing.spectra_figures import Lines, spectrum_figure
from evaluation.numerics.setting import REFERENCE

DEGREE = np.arange(1.0, 64.0)


def drawn(guides=None, **spectra):
    lines = Lines({REFERENCE: DEGREE ** -(5 / 3), **spectra})
    with plotting.style():
        figure = spectrum_figure(
            DEGREE, lines, ratios=Lines({k: v / lines[REFERENCE] for k, v in lines.items()}),
            name="energy", units="m2 s-2", circumference=40_000.0, guides=guides,
        )  # fmt: skip
        figure.canvas.draw()
    return figure


def test_power_laws_and_their_names_lie_above_all_spectra():
    loud = 3.0 * DEGREE**-0.5
    axes = drawn({"steep": -3.0, "like it": -5 / 3}, loud=loud).axes[0]
    laws = [line for line in axes.lines if line.get_color() == "0.45"]
    assert len(laws) == 2
    for law in laws:
        x, y = law.get_data()
        assert (y > 1.5 * np.interp(x, DEGREE, loud)).all()
    for name in axes.texts:
        x, y = name.xy
        assert y > 1.5 * np.interp(x, DEGREE, loud)


def test_rounding_beyond_a_truncation_does_not_stretch_the_axis():
    cut = np.where(DEGREE < 40, DEGREE**-3, 1e-17)
    low, _ = drawn(cut=cut, **{REFERENCE: cut}).axes[0].get_ylim()
    assert 1e-8 < low < 40.0**-3


def test_names_lie_below_the_panels():
    figure = drawn(other=DEGREE**-2)
    assert not [axes for axes in figure.axes if axes.get_legend()]
    (legend,) = figure.legends
    assert legend.get_window_extent().y1 <= figure.axes[1].get_window_extent().y0
