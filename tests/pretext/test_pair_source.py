import dataclasses
import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from atmodist.pretext.augmentation import mirror_north_south, reverse_time
from atmodist.pretext.configuration import TrainingConfig
from atmodist.pretext.pair_source import RecordSource
from tests.pretext.sources import (
    CHANNELS,
    decorrelating_pairs,
    normalization,
    write_as_reference,
    write_records,
)

NUM_TRAIN, NUM_EVALUATION = 48, 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("records"), NUM_TRAIN, NUM_EVALUATION)


def source(folder, **options):
    plain = {"mirror": False, "reverse": False, "batch_size": 16}
    config = TrainingConfig(records=folder, architecture="resnet-tiny", **{**plain, **options})
    return RecordSource(config.resolved())


def read(batches):
    pairs, labels = zip(*((np.asarray(p), np.asarray(t)) for p, t in batches), strict=True)
    return np.concatenate(pairs), np.concatenate(labels)


def test_pairs_are_those_of_the_records_with_labels_from_zero(folder):
    pairs, labels = read(source(folder).evaluation_batches())
    expected_pairs, expected_labels = decorrelating_pairs(NUM_EVALUATION)
    assert_array_equal(pairs, expected_pairs)
    assert_array_equal(labels, expected_labels)
    assert source(folder).input_shape == (32, 32, 2)
    assert source(folder).num_classes == 4


@pytest.mark.parametrize("symmetric", [False, True])
def test_batches_are_a_function_of_seed_and_epoch(folder, symmetric):
    def batches(seed, epoch):
        chosen = source(folder, seed=seed, mirror=symmetric, reverse=symmetric)
        return read(chosen.training_batches(epoch))[0]

    once = batches(1, 2)
    assert_array_equal(once, batches(1, 2))
    for seed, epoch in ((1, 3), (2, 2), (2, 1)):
        assert (once != batches(seed, epoch)).any()


def test_an_epoch_has_every_pair_once_in_whole_batches(folder):
    pairs, labels = read(source(folder, batch_size=12).training_batches(0))
    expected, expected_labels = decorrelating_pairs(NUM_TRAIN)
    order, expected_order = (np.argsort(p[:, 0, 0, 0, 0]) for p in (pairs, expected))
    assert_array_equal(pairs[order], expected[expected_order])
    assert_array_equal(labels[order], expected_labels[expected_order])
    assert [len(p) for p, _ in source(folder, batch_size=20).training_batches(0)] == [20, 20]


@pytest.mark.parametrize(
    ("option", "transform"),
    [
        ("mirror", lambda pairs: mirror_north_south(pairs, CHANNELS, normalization())),
        ("reverse", reverse_time),
    ],
)
def test_pairs_are_the_original_or_the_transformed_ones(folder, option, transform):
    original, labels = read(source(folder).training_batches(3))
    transformed = np.asarray(transform(original))
    seen, seen_labels = read(source(folder, **{option: True}).training_batches(3))
    assert_array_equal(seen_labels, labels)
    kept = (seen == original).all(axis=(1, 2, 3, 4))
    # tolerance: compiled arithmetic may round the last bit otherwise
    turned = np.isclose(seen, transformed, rtol=1e-5, atol=1e-6).all(axis=(1, 2, 3, 4))
    assert_array_equal(kept, ~turned)
    assert 6 < turned.sum() < 42  # 24 ± 5 standard deviations


def test_evaluation_sees_the_pairs_as_they_are(folder):
    plain, _ = read(source(folder).evaluation_batches())
    augmented, _ = read(source(folder, mirror=True, reverse=True).evaluation_batches())
    assert_array_equal(plain, augmented)


@pytest.mark.parametrize("max_label", [2, 3, 4])
def test_pairs_with_larger_labels_are_neither_counted_nor_read(folder, max_label):
    chosen = source(folder, max_label=max_label)
    assert chosen.num_classes == max_label
    assert chosen.num_train == (decorrelating_pairs(NUM_TRAIN)[1] < max_label).sum()
    assert chosen.num_evaluation == (decorrelating_pairs(NUM_EVALUATION)[1] < max_label).sum()
    assert read(chosen.evaluation_batches())[1].max() < max_label


def test_more_labels_than_the_records_have_are_refused(folder):
    with pytest.raises(ValueError, match=r"`max_label` is 5, but the largest label .* is 4"):
        source(folder, max_label=5)


def test_the_normalisation_of_other_records_is_refused(tmp_path):
    folder = write_records(tmp_path)
    other = normalization(std=(3e-5, 4e-5))
    other.save(folder / "normalization.json")
    with pytest.raises(ValueError, match=f"is normalisation {other.identity}, but .*replaced"):
        source(folder)


def test_a_normalisation_for_other_channels_is_refused(tmp_path):
    folder = write_records(tmp_path, channels=("vorticity", "divergence"))
    with pytest.raises(ValueError, match=r"is for channels .* the records in .* hold"):
        source(folder)


def test_a_lost_normalisation_is_asked_for(tmp_path):
    folder = write_records(tmp_path)
    (folder / "normalization.json").unlink()
    message = (
        f"is missing, although the records were made with normalisation {normalization().identity}"
    )
    with pytest.raises(ValueError, match=message):
        source(folder)


def test_splits_may_have_any_name(tmp_path):
    write_as_reference(tmp_path / "some.tfrecords", 20)
    write_as_reference(tmp_path / "rplearn_eval_2000.tfrecords", 7)
    plain = {"batch_size": 5, "train_split": "all"}
    assert source(tmp_path, **plain).num_train == 20
    assert source(tmp_path, **plain).num_evaluation == 7
    single = source(tmp_path, **plain, evaluation_split="all")
    assert single.num_evaluation == 20
    assert len(single.files) == 1
    for options in ({}, {**plain, "evaluation_split": "test"}):
        with pytest.raises(
            ValueError, match=r"has no split '(train|test)'; it has all, evalu"
        ) as e:
            source(tmp_path, **options)
        assert "--train_split and --evaluation_split" in str(e.value)
        assert "\n" not in str(e.value)


def unknown_channels(tmp_path):
    folder = write_records(tmp_path, channels=("channel0", "channel1"))
    scheme = dataclasses.replace(normalization(), channels=("channel0", "channel1"))
    scheme.save(folder / "normalization.json")
    path = folder / "records.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "normalization": scheme.identity}))
    return folder


def test_channels_of_unknown_kind_need_symmetries_switched_off(tmp_path):
    folder = unknown_channels(tmp_path)
    for options in ({"mirror": True}, {"reverse": True}):
        with pytest.raises(ValueError, match="--mirror false --reverse false"):
            source(folder, **options)
    assert source(folder).num_train == NUM_TRAIN


def test_bare_records_are_counted_and_not_mirrored(tmp_path, capsys):
    write_as_reference(tmp_path / "rplearn_train_1979_1998.0.tfrecords", 20)
    write_as_reference(tmp_path / "rplearn_eval_2000_2005.3.tfrecords", 7)
    bare = source(tmp_path, mirror=True, batch_size=5)
    assert "training goes on without mirroring" in "".join(capsys.readouterr())
    assert (bare.num_train, bare.num_evaluation) == (20, 7)
    assert len(bare.files) == 2
    assert_array_equal(
        read(bare.training_batches(0))[0],
        read(source(tmp_path, batch_size=5).training_batches(0))[0],
    )
