import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.fields.described_grid import described_grid, spacing_degrees, spacing_km
from atmodist.fields.grid import Grid, make_grid
from atmodist.fields.synthetic import generate_archive
from atmodist.files.constants import EARTH_RADIUS
from atmodist.files.outputs import read_json, write_json
from atmodist.metric.training_grid import training_grid
from tests.cli.test_rplearn_train import write_records


def test_spacing_is_that_of_the_rows_and_columns():
    assert_allclose(spacing_degrees(make_grid("regular", 181)), (1.0, 1.0))
    assert_allclose(spacing_degrees(Grid([3.0, 1.0], [5.0, 6.0, 8.0])), (2.0, 1.5))
    assert_allclose(spacing_km(360.0), 2 * np.pi * EARTH_RADIUS / 1000)


@pytest.fixture
def run(tmp_path):
    """A run that knows its records, which know their archive."""
    generate_archive(tmp_path / "a.h5", num_steps=2, num_rows=32, truncation=10)
    write_records(tmp_path / "records")
    (tmp_path / "run").mkdir()
    write_json(tmp_path / "run/manifest.json", {"config": {"records": str(tmp_path / "records")}})
    return tmp_path / "run"


def describe(run, **facts):
    """Lets the records say which archive and which grid they are from."""
    (sidecar,) = (run.parent / "records").rglob("records.json")
    content = read_json(sidecar)
    content["metadata"] = {key: value for key, value in facts.items() if key == "grid"}
    write_json(sidecar, content)
    write_json(sidecar.parent / "manifest.json", {"config": {"archive": facts.get("archive")}})


def test_the_grid_is_that_of_the_archive_behind_the_records(run):
    from atmodist.fields.archive import Archive

    archive = run.parent / "a.h5"
    with Archive(archive) as opened:
        grid = opened.grid
    describe(run, archive=str(archive))
    assert training_grid(run).matches(grid)
    describe(run, archive=str(archive), grid=str(grid))  # as version 0.1 wrote it
    assert training_grid(run).matches(grid)
    describe(run, archive=str(archive), grid=str(make_grid("regular", 181)))
    assert training_grid(run) is None  # the archive is another one now


def test_the_records_are_believed_where_the_archive_is_gone_or_another(run):
    other = make_grid("regular", 181)
    describe(run, archive="/nowhere/a.h5", grid=described_grid(other))
    assert training_grid(run).matches(other)
    describe(run, archive=str(run.parent / "a.h5"), grid=described_grid(other))
    assert training_grid(run).matches(other)


def test_a_run_that_tells_nothing_has_no_known_grid(run, tmp_path):
    describe(run)
    assert training_grid(run) is None
    assert training_grid(tmp_path / "nothing") is None
    for content in ({}, {"config": {"records": 7}}, {"config": {"records": "/nowhere"}}, []):
        write_json(run / "manifest.json", content)
        assert training_grid(run) is None
