import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.pretext.pair_model import encoder_of, pretext_model, side_by_side


@pytest.fixture(scope="module")
def tiny():
    keras.utils.set_random_seed(3)
    return pretext_model("resnet-tiny", (32, 32, 2), 5)


def random_pairs(count=4):
    rng = np.random.default_rng(7)
    return rng.standard_normal((count, 2, 32, 32, 2)).astype(np.float32)


def test_the_reference_model_has_its_number_of_parameters():
    model = pretext_model("resnet-small", (160, 160, 2), 23)
    assert model.count_params() == 2_747_856
    assert model.output.shape == (None, 23)
    assert model.get_layer("head2_relu").output.shape == (None, 3, 3, 128)
    assert not model.get_layer("logits").use_bias


def test_resnet_tiny_stays_tiny():
    assert pretext_model("resnet-tiny", (64, 64, 2), 8).count_params() == 371_816


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("resnet-18", 12_537_856), ("resnet-101", 47_548_864)])
def test_larger_networks_share_the_reference_head(name, size):
    model = pretext_model(name, (160, 160, 2), 23)
    features = encoder_of(model).output["stage4"].shape[-1]
    # two 3x3 convolutions to 128 with bias and batch normalisation, then 3 x 3 x 128 to 23
    head = 9 * 128 * (2 * features + 128) + 2 * 5 * 128 + 9 * 128 * 23
    assert model.count_params() == encoder_of(model).count_params() + head == size


def test_the_earlier_field_comes_first_at_every_place():
    features = np.arange(4 * 2 * 3 * 5, dtype=np.float32).reshape(4, 2, 3, 5)
    joined = np.asarray(side_by_side(features))
    assert_array_equal(joined[..., :5], features[0::2])
    assert_array_equal(joined[..., 5:], features[1::2])


def test_relations_follow_the_features():
    features = np.random.default_rng(0).standard_normal((4, 2, 3, 5)).astype(np.float32)
    joined = np.asarray(side_by_side(features, ("difference", "product")))
    assert_array_equal(joined[..., :10], side_by_side(features))
    assert_array_equal(joined[..., 10:15], np.abs(features[0::2] - features[1::2]))
    assert_array_equal(joined[..., 15:], features[0::2] * features[1::2])


def test_pairs_of_open_extent_are_refused():
    with pytest.raises(ValueError, match="patches of a fixed shape"):
        pretext_model("resnet-tiny", (None, 32, 2), 4)


def test_pairs_do_not_mix(tiny):
    pairs, order = random_pairs(), [2, 0, 3, 1]
    # Tolerance: convolutions may sum in another order elsewhere in the batch.
    assert_allclose(tiny(pairs[order]), np.asarray(tiny(pairs))[order], atol=1e-5)
    assert_allclose(tiny(pairs[:1]), tiny(pairs)[:1], atol=1e-5)


def test_the_order_within_a_pair_counts(tiny):
    pairs = random_pairs()
    assert np.abs(np.asarray(tiny(pairs)) - tiny(pairs[:, ::-1])).max() > 1e-3


def test_one_encoder_serves_both_fields():
    model = pretext_model("resnet-tiny", (32, 32, 2), 5)
    first = random_pairs()
    second = (
        np.stack([first[::-1, 0], first[:, 1]], axis=1),
        np.stack([first[:, 0], first[::-1, 1]], axis=1),
    )
    for other in second:  # one field differs, and the network sees it
        assert np.abs(np.asarray(model(first)) - model(other)).max() > 1e-3
    encoder = encoder_of(model)
    encoder.set_weights([np.zeros_like(weight) for weight in encoder.get_weights()])
    for other in second:  # blind: a second encoder would still tell one of the fields
        assert_array_equal(model(first), model(other))


def test_a_saved_model_loads_in_safe_mode(tiny, tmp_path):
    tiny.save(tmp_path / "pretext.keras")
    again = keras.models.load_model(tmp_path / "pretext.keras", safe_mode=True)
    pairs = random_pairs()
    assert_array_equal(tiny(pairs), again(pairs))
    assert [*encoder_of(again).output] == [*encoder_of(tiny).output]
    kinds = {type(layer) for layer in again.layers}
    assert keras.layers.Lambda not in kinds


@pytest.mark.parametrize("count", [1, 2.0, None])
def test_the_number_of_classes_is_checked(count):
    with pytest.raises(ValueError, match="`num_classes` must be an integer above 1"):
        pretext_model("resnet-tiny", (32, 32, 2), count)
