"""What can be guessed without looking at a field: from the place and the times of day of a pair."""

import numpy as np

from atmodist.assessment.control_fields import ClockTimes
from atmodist.assessment.predictions import JudgedPairs
from atmodist.assessment.tables import latitude_bands


def accuracy_by_position(
    guess: np.ndarray, pairs: JudgedPairs, *, num_classes: int, band_degrees: float
) -> np.ndarray:
    """The chance that another pair of the same latitude band has the guessed label, per pair."""
    band, edges = latitude_bands(pairs.latitude, band_degrees)
    counts = np.zeros((len(edges) - 1, num_classes))
    np.add.at(counts, (band, pairs.label), 1)
    others = counts[band, guess] - (guess == pairs.label)
    return np.asarray(others / np.maximum(counts[band].sum(axis=1) - 1, 1))


def table_cells(
    pairs: JudgedPairs, clock: ClockTimes, band_degrees: float
) -> dict[str, np.ndarray]:
    """The cell of each pair in each table, by the name of the table. Shape (pair,) each."""
    band, _ = latitude_bands(pairs.latitude, band_degrees)
    hour = clock.phase(pairs.time)
    last = clock.phase(pairs.time + (pairs.label + 1) * clock.step_seconds)
    return {
        "table: nothing": np.zeros(len(pairs), np.int64),
        "table: latitude": band,
        "table: hour": hour,
        "table: latitude and hour": band * clock.num_phases + hour,
        "table: parity of both": (pairs.label + 1) % 2,
        "table: hours of both": hour * clock.num_phases + last,
    }


def table_guesses(
    training_cells: np.ndarray, training_labels: np.ndarray, cells: np.ndarray, num_classes: int
) -> np.ndarray:
    """The commonest training label in the cell of each pair; in all where a cell is empty."""
    overall = np.bincount(training_labels, minlength=num_classes)
    size = int(max(training_cells.max(), cells.max())) + 1
    counts = np.zeros((size, num_classes))
    np.add.at(counts, (training_cells, training_labels), 1)
    counts += overall / overall.sum() * 1e-3
    return np.asarray(counts.argmax(axis=1)[cells])
