import importlib.util

import numpy as np
import pytest
import xarray as xr

from atmodist.fields.time_axis import NO_CALENDAR
from evaluation.running import datasets
from evaluation.running.datasets import joined, read_dataset, write_dataset


def part(values, **more):
    about = {"units": "s-1", "long_name": "error", "better": "lower", "exact": True, "none": None}
    return xr.Dataset(
        {"error": ("time", np.asarray(values, float), about), **more},
        coords={"time": np.arange(len(values)) * 86400 + 60 * 86400, "edge": ("bin", [1.0, 2.0])},
    )


@pytest.mark.parametrize("modern", [True, False])
@pytest.mark.parametrize("calendar", ["standard", "360_day", NO_CALENDAR])
def test_joined_results_come_back_from_disk(tmp_path, monkeypatch, modern, calendar):
    if not modern:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert datasets.importlib is importlib
    parts = {"reference": part([0, 1]), "sr": part([2, 3], own=("bin", [4.0, 5.0]))}
    dataset = joined(parts, calendar)
    assert dataset["error"].dims == ("candidate", "time")
    assert np.isnan(dataset["own"].sel(candidate="reference")).all()
    again = read_dataset(write_dataset(tmp_path / "x.nc", dataset))
    np.testing.assert_array_equal(again["error"], [[0, 1], [2, 3]])
    np.testing.assert_array_equal(again["own"].sel(candidate="sr"), [4, 5])
    assert again["candidate"].values.tolist() == ["reference", "sr"]
    assert again["error"].attrs["units"] == "s-1"
    assert again["error"].attrs["better"] == "lower"
    np.testing.assert_array_equal(again["edge"], [1, 2])
    first = {"standard": "1970-03-02", "360_day": "1970-03-01", NO_CALENDAR: "5184000"}[calendar]
    assert str(again["time"].values[0]).startswith(first)


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no .*x\.nc; run phire-eval again"):
        read_dataset(tmp_path / "x.nc")
