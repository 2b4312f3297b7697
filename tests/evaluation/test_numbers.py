import numpy as np
import xarray as xr

from evaluation.numbers import Bootstrap, numbers


def stations(**distances):
    values = np.array([[[d]] for d in distances.values()])  # (candidate, box, channel, station)
    return xr.Dataset(
        {
            "station_wasserstein": (
                ("candidate", "box", "channel", "station"),
                values,
                {"units": "m"},
            )
        },
        coords={"candidate": list(distances), "box": ["1x1"], "channel": ["x"]},
    )


def test_pairs_of_candidates_over_stations_are_told_with_both_rules():
    far = np.linspace(1.0, 2.0, 20)
    near = far * np.where(np.arange(20) < 15, 0.5, 0.99)
    (row,) = numbers("stations", stations(near=near, far=far), "far", Bootstrap(20, 0))
    assert (row["candidate"], row["baseline"], row["verdict"]) == ("near", "far", "better")
    assert (row["stations_better"], row["stations_equal"], row["stations_worse"]) == (15, 5, 0)
    assert row["baseline_p"] < 0.05
    assert row["baseline_difference"] == row["value"] < 0
    (row,) = numbers("stations", stations(far=far, near=near), "near", Bootstrap(20, 0))
    assert row["verdict"] == "worse"


def test_equal_distances_at_stations_are_called_equal():
    same = np.linspace(1.0, 2.0, 20)
    (row,) = numbers("stations", stations(a=same, b=same), "a", Bootstrap(20, 0))
    assert (row["verdict"], row["baseline_p"], row["stations_equal"]) == ("equal", 1.0, 20)
