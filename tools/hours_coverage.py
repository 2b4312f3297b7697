"""Prints how often the band of equivalent hours holds the true lag in weeks it was not made from.

    python tools/hours_coverage.py vo850.h5 2026-02-01                 # pixel distance
    python tools/hours_coverage.py vo850.h5 2026-02-01 --metric RUN    # distance of an encoder

Whole fields up to the given time are calibrated on, those after it measured. The bands claim to
hold two pairs in three (68 %). Without an encoder the distance is the root mean square difference
of the fields, which asks nothing but an archive: day-to-day and week-to-week variability belong to
the atmosphere.
"""

import argparse

import numpy as np

from atmodist.calibration.other_weeks import Blocks, for_other_weeks
from atmodist.fields.archive import Archive
from atmodist.metric.lag_curve import LagCurve


def coverage(
    known: tuple[np.ndarray, np.ndarray, np.ndarray],
    held_out: tuple[np.ndarray, np.ndarray, np.ndarray],
    step_hours: float,
) -> tuple[float, float]:
    """Shares of held-out pairs whose lag the two bands hold.

    Args:
        known: First step, lag in hours, and distance of the pairs to calibrate on; (pair,) each.
        held_out: The same of the pairs to test.
        step_hours: Length of a time step.

    Returns:
        Of the band of the days of the calibration, and of the band for other weeks; the distance
        at a lag lies inside a band where the lag lies in the band of hours.
    """
    step, hours, distance = known
    curve = LagCurve.of(distance, hours)
    wide = for_other_weeks(curve, distance, hours, Blocks.of(step, step_hours, hours.max()))
    _, hours, distance = held_out
    lag = np.searchsorted(curve.lag_hours, hours)
    first, second = (
        float(((low[lag] <= distance) & (distance <= high[lag])).mean())
        for low, high in ((curve.quantile16, curve.quantile84), wide.band)
    )
    return first, second


def pixel_pairs(
    fields: np.ndarray, area_weights: np.ndarray, max_label: int, step_hours: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Root mean square differences of all fields 1 ... `max_label` steps apart.

    Args:
        fields: (time, latitude, longitude).
        area_weights: (latitude, longitude), summing to one.
        max_label: Largest lag, in time steps.
        step_hours: Length of a time step.

    Returns:
        First step, lag in hours, and distance; (pair,) each.
    """
    found = []
    for label in range(1, max_label + 1):
        squares = np.square(fields[label:] - fields[:-label], dtype=np.float64)
        distance = np.sqrt((squares * area_weights).sum(axis=(1, 2)))
        found.append(
            (np.arange(len(distance)), np.full(len(distance), label * step_hours), distance)
        )
    step, hours, distance = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return step, hours, distance


def encoder_pairs(
    metric: str, archive: Archive, steps: range, max_label: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `pixel_pairs`, by the deepest stage of an encoder."""
    from atmodist.calibration.pair_measures import measure_fields
    from atmodist.metric.package import load_package

    package = load_package(metric, calibrated=False)
    measures = measure_fields(package.features(), archive, steps, max_label)
    return measures.step, measures.hours, np.sqrt(measures.content[measures.stages[-1]])


def main() -> None:
    """Runs the script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("archive")
    parser.add_argument("split", help="last time to calibrate on, such as 2026-01-31")
    parser.add_argument("--start", help="first time to calibrate on")
    parser.add_argument("--metric", help="encoder package or run")
    parser.add_argument("--max_label", type=int, default=8, help="largest lag, in time steps")
    arguments = parser.parse_args()
    with Archive(arguments.archive) as archive:
        step_hours = archive.time.step / 3600
        known = archive.time.select(arguments.start, arguments.split)
        steps = (known, range(known.stop, archive.shape[1]))

        def pairs(part: range) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            if arguments.metric:
                return encoder_pairs(arguments.metric, archive, part, arguments.max_label)
            fields = np.stack([archive.read(step)[0] for step in part])
            return pixel_pairs(fields, archive.grid.area_weights, arguments.max_label, step_hours)

        old, new = coverage(pairs(steps[0]), pairs(steps[1]), step_hours)
    print(f"band of the days of the calibration: {old:.3f}; for other weeks: {new:.3f}")


if __name__ == "__main__":
    main()
