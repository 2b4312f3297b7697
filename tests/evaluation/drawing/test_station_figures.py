from evaluation.drawing.station_figures import telling_tests
from evaluation.statistics.stations import BOXES


def compared(a, b, box="1x1", better=0, worse=0):
    return {"a": a, "b": b, "box": box, "better": better, "equal": 9, "worse": worse}


def test_pairs_that_are_equal_everywhere_are_not_drawn():
    tests = [compared("a", "b", box) for box in BOXES] + [
        compared("a", "c", box, better=2) for box in BOXES
    ]
    shown, hidden = telling_tests(tests)
    assert [test["b"] for test in shown] == ["c"] * 3
    assert hidden == " One pair is equal at all stations, and not shown."
    assert telling_tests(tests[:3])[0] == []


def test_many_pairs_are_drawn_for_the_nearest_point_alone():
    names = "abcdef"
    tests = [compared(a, b, box, worse=1) for a in names for b in names if a < b for box in BOXES]
    shown, hidden = telling_tests(tests)
    assert len(shown) == 15
    assert {test["box"] for test in shown} == {"1x1"}
    assert "metrics.csv has larger boxes" in hidden
