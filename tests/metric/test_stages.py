import pytest

from atmodist.metric.stages import default_stage, stage_weights


def test_the_stage_of_the_papers_is_meant_or_the_deepest():
    assert default_stage(("stage1", "stage2", "stage3", "stage4")) == "stage3"
    assert default_stage(("stage1", "stage2")) == "stage2"


def test_weights_come_in_the_order_of_the_encoder_without_zeros():
    weights = stage_weights({"b": 1, "c": 0, "a": 2}, ("a", "b", "c"))
    assert list(weights.items()) == [("a", 2.0), ("b", 1.0)]
    assert stage_weights("b", ("a", "b")) == {"b": 1.0}


def test_truth_is_no_weight():
    with pytest.raises(TypeError, match="the weight of a must be a number; got True"):
        stage_weights({"a": True}, ("a",))
