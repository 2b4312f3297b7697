import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.assessment.audit import AuditSettings, audit_shortcuts
from atmodist.assessment.control_fields import ArchiveDonors, ClockTimes, RecordDonors, locate
from atmodist.assessment.predictions import join, stream_pairs
from atmodist.pairs.pair_records import open_records
from tests.assessment import series
from tests.assessment.made_up import made_pairs

CLOCK = ClockTimes(series.STEP)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return series.write_series(tmp_path_factory.mktemp("series"))


def read(records, split):
    parts = list(stream_pairs(records, split, num_classes=8, batch_size=64, desc="reading"))
    return np.concatenate([patches for patches, _ in parts]), join([pairs for _, pairs in parts])


def audit(made, predict, source):
    path, folder = made
    records = open_records(folder)
    patches, pairs = read(records, "evaluation")
    settings = AuditSettings(num_classes=8, clock=CLOCK)
    with series.open_series(path) as archive:
        donors = (
            ArchiveDonors(archive, series.identity(), series.PATCH, CLOCK)
            if source == "archive"
            else RecordDonors(
                records, ["train", "evaluation"], limit=10_000, num_classes=8, clock=CLOCK
            )
        )
        return audit_shortcuts(
            predict, patches, pairs, read(records, "train")[1], settings, donors=donors
        )


def value(result, control, score="accuracy"):
    return result.value(control, score)["value"]


@pytest.mark.parametrize("source", ["archive", "records"])
def test_a_network_that_looks_at_the_clock_is_exposed(made, source):
    result = audit(made, series.clock_reader, source)
    assert value(result, "intact") == 1
    assert value(result, "same hour") == 1
    assert value(result, "exchanged", "clock_answer") == 1
    for control in ("any hour", "latitude"):
        assert value(result, control) < 0.25
    assert any("does read time of day" in note for note in result.notes)
    assert value(result, "same hour", "refitted_nats") > 1.5  # of log(8) = 2.08
    assert value(result, "any hour", "refitted_nats") < 0.1
    if source == "archive":
        assert value(result, "diurnal cycle") == 1
        assert value(result, "day later") == 1
        assert value(result, "mean state") < 0.25


@pytest.mark.parametrize("source", ["archive", "records"])
def test_a_network_that_knows_the_elapsed_time_is_not_accused(made, source):
    result = audit(made, series.dynamics_reader, source)
    assert value(result, "intact") == value(result, "exchanged") == 1
    assert value(result, "exchanged", "clock_answer") == 0
    for control in ("same hour", "same parity", "any hour"):
        assert value(result, control, "says_longest") == 1
        assert value(result, control) < 0.25
    assert next(note for note in result.notes if "no sign" in note).startswith("'same hour'")
    if source == "archive":
        assert value(result, "day later", "says_longest") == 1
        assert value(result, "diurnal cycle") < 0.25


def test_a_network_that_tells_odd_from_even_is_exposed(made):
    result = audit(made, series.parity_reader, "archive")
    assert value(result, "same parity", "refitted_parity") == 1
    assert value(result, "any hour", "refitted_parity") < 0.65
    assert any("does read odd and even steps" in note for note in result.notes)


def test_tables_say_what_clocks_would_give(made):
    result = audit(made, series.dynamics_reader, "archive")
    assert value(result, "table: hours of both") == 1  # labels up to a day
    assert_allclose(value(result, "table: parity of both"), 0.25, atol=0.06)
    for name in ("nothing", "latitude", "hour", "latitude and hour"):
        assert value(result, f"table: {name}") < 0.2


def test_fields_of_other_dates_are_of_the_wanted_hour_and_place(made):
    path, folder = made
    records = open_records(folder)
    _, pairs = read(records, "evaluation")
    phase = np.random.default_rng(0).integers(0, 8, len(pairs))
    apart = 3 * 86_400.0
    with series.open_series(path) as archive:
        sources = (
            ArchiveDonors(archive, series.identity(), series.PATCH, CLOCK),
            RecordDonors(records, ["train"], limit=10_000, num_classes=8, clock=CLOCK),
        )
        for donors in sources:
            found = donors.find(pairs, phase, apart=apart, rng=np.random.default_rng(1))
            assert np.all(found >= 0)
            fields = series.identity().inverse(donors.read(pairs, found).astype(np.float64))
            assert_allclose(fields[:, 0, 0, 0], phase, atol=1e-4)
            lag = fields[:, 0, 0, 1] * series.STEP - pairs.time
            assert np.all((lag <= -apart + 1) | (lag >= apart + 8 * series.STEP - 20))


def test_patches_are_found_again_on_the_grid(made):
    path, folder = made
    _, pairs = read(open_records(folder), "evaluation")
    with series.open_series(path) as archive:
        row, column = locate(archive.grid, pairs)
        assert_allclose(archive.grid.latitude[row], pairs.north, atol=1e-4)
        assert_allclose(archive.grid.longitude[column], pairs.west, atol=1e-4)
        with pytest.raises(ValueError, match=r"lie up to .* beside the points"):
            locate(archive.grid, made_pairs([0, 1], latitude=[3, 4]))


@pytest.mark.parametrize("step", [0, 7 * 3600, 86_400])
def test_a_step_that_is_no_part_of_a_day_has_no_clock(step):
    with pytest.raises(ValueError, match="no whole part of a day"):
        ClockTimes(step)


def test_too_few_base_times_give_no_verdict(made):
    path, folder = made
    records = open_records(folder)
    patches, pairs = read(records, "evaluation")
    few = np.isin(pairs.step, np.unique(pairs.step)[[3, 9, 15]])
    settings = AuditSettings(num_classes=8, clock=CLOCK)
    with series.open_series(path) as archive:
        donors = ArchiveDonors(archive, series.identity(), series.PATCH, CLOCK)
        result = audit_shortcuts(
            series.clock_reader, patches[few], pairs.take(few), None, settings, donors=donors
        )
    assert all(row["low"] is None and row["high"] is None for row in result.rows)
    verdicts = [note for note in result.notes if "against 'any hour'" in note]
    assert verdicts
    assert all(note.endswith("(-); too few base times for a verdict.") for note in verdicts)
