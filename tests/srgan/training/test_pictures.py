import numpy as np
import pytest

from srgan.training.pictures import COLUMNS, draw_samples, sample_figure

CHANNELS = ("divergence", "vorticity")


def fields(samples, channels=2):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(samples, n, n, channels)) for n in (4, 8, 8, 8)]


@pytest.mark.parametrize("samples", [1, 3])
def test_each_column_has_its_title_and_each_row_its_channel(samples):
    panels = sample_figure(fields(samples), CHANNELS).axes
    titles = [axis.get_title() for axis in panels]
    assert titles == [*COLUMNS, *[""] * (4 * 2 * samples - 4)]
    assert [axis.get_ylabel() for axis in panels[::4]] == [*CHANNELS] * samples


def test_a_row_has_the_scale_of_its_truth():
    given = fields(2)
    panels = sample_figure(given, CHANNELS).axes
    for number, axis in enumerate(panels):
        row, column = divmod(number, 4)
        sample, channel = divmod(row, 2)
        (image,) = axis.images
        largest = np.abs(given[-1][sample, ..., channel]).max()
        assert image.get_clim() == (-largest, largest)
        np.testing.assert_array_equal(image.get_array(), given[column][sample, ..., channel])


def test_a_picture_is_a_png(tmp_path):
    draw_samples(tmp_path / "a.png", fields(1), CHANNELS)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
