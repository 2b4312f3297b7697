"""Kinds are found by looking into their package: one more file is one more kind."""

import sys
import textwrap

import numpy as np
import pytest
import xarray as xr

from atmodist.fields.archive import Archive
from evaluation.candidates import kinds
from evaluation.candidates.candidates import open_sources
from evaluation.candidates.kinds import KINDS
from evaluation.contract.configuration import EvaluationConfig
from tests.evaluation.made_up import made_archive

FORECAST = textwrap.dedent(
    '''
    """A forecast so many hours ahead, from a file with init_time and lead_time."""

    from dataclasses import dataclass
    from typing import Any

    import numpy as np

    from atmodist.ingestion.sources import file_fingerprint
    from evaluation.candidates.kind import Kind


    @dataclass(frozen=True)
    class AtLead:
        """Fields (init_time, latitude, longitude) of each channel, by valid time."""

        fields: Any
        lead: np.timedelta64
        channels: tuple[str, ...]
        about: str
        identity: dict[str, Any]
        num_members: int = 1

        @property
        def seconds(self):
            """Valid times."""
            valid = self.fields.init_time.values + self.lead
            return valid.astype("datetime64[s]").astype(np.int64)

        def read(self, second):
            """Yields the field that is valid then."""
            then = self.fields.sel(init_time=np.datetime64(second, "s") - self.lead)
            yield np.stack([then[name].values for name in self.channels]).astype(np.float32)


    class Forecast(Kind):
        """See the module."""

        usage, about = "forecast:FILE@HOURS", "a forecast so many hours ahead"

        def open(self, candidate, opening):
            """Opens the file until all is done."""
            import xarray as xr

            path, _, hours = candidate.value[0].partition("@")
            lead = np.timedelta64(int(hours), "h")
            fields = opening.stack.enter_context(xr.open_dataset(path)).sel(lead_time=lead)
            names = tuple(channel.name for channel in opening.reference.series.channels)
            identity = {"forecast": file_fingerprint(path), "hours": int(hours)}
            return AtLead(fields, lead, names, f"{path}, {hours} h ahead", identity)


    KIND = Forecast()
    '''
)


@pytest.fixture
def with_forecasts(tmp_path, monkeypatch):
    folder = tmp_path / "more_kinds"
    folder.mkdir()
    (folder / "forecast.py").write_text(FORECAST)
    monkeypatch.setattr(kinds, "__path__", [*kinds.__path__, str(folder)])
    yield
    sys.modules.pop(f"{kinds.__name__}.forecast", None)


def test_all_kinds_say_how_they_are_written():
    assert list(KINDS) == ["fields", "generator", "interpolation", "persistence"]
    for name, kind in KINDS.items():
        assert kind.about
        assert name == "fields" or kind.usage.startswith(f"{name}:")
    assert [name for name, kind in KINDS.items() if kind.has_networks] == ["generator"]


def test_another_file_is_another_kind_and_may_know_of_lead_times(with_forecasts, tmp_path):
    path = str(made_archive(tmp_path / "truth.h5", num_steps=12))
    with Archive(path) as archive:
        grid, times = archive.grid, archive.time.seconds.astype("datetime64[s]")
        values = np.stack([archive.read(step) for step in range(12)])
        names = [channel.name for channel in archive.channels]
    leads = np.array([0, 3, 6], "timedelta64[h]").astype("timedelta64[ns]")  # steps are 3 h
    # a forecast that says what comes: at lead k, the truth of k steps later, plus k
    made = np.stack([values[k : k + 9] + k for k in range(3)], axis=1)
    axes = ("init_time", "lead_time", "latitude", "longitude")
    xr.Dataset(
        {name: (axes, made[:, :, i]) for i, name in enumerate(names)},
        coords={
            "init_time": times[:9].astype("datetime64[ns]"), "lead_time": leads,
            "latitude": grid.latitude, "longitude": grid.longitude,
        },
    ).to_netcdf(tmp_path / "runs.nc", engine="h5netcdf")  # fmt: skip
    config = EvaluationConfig(reference=path, candidates=[f"f=forecast:{tmp_path}/runs.nc@6"])
    (candidate,) = config.parsed
    assert (candidate.kind, candidate.value) == ("forecast", (f"{tmp_path}/runs.nc@6",))
    with open_sources(config.inputs) as sources:
        source = sources.candidates["f"]
        assert source.seconds.tolist() == sources.reference.time.seconds[2:11].tolist()
        for second in map(int, source.seconds[[0, 8]]):
            truth = sources.reference.read(second)
            np.testing.assert_array_equal(sources.read("f", second)[0], truth + 2)


def test_kinds_that_there_are_not_are_told_with_those_that_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = r"candidate a: there is no kind 'forecast', .* candidates are FILE.*persistence:STEPS"
    with pytest.raises(ValueError, match=message):
        EvaluationConfig(reference="r.h5", candidates=["a=forecast:x.nc@3"])
    (tmp_path / "run:7.h5").touch()
    for path in ("run:7.h5", "s3://bucket/x.zarr", "c:\\x.h5"):
        (candidate,) = EvaluationConfig(reference="r.h5", candidates=[f"a={path}"]).parsed
        assert candidate.kind == "fields"
