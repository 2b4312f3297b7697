import ast

from tools import mutation

FORMULA = """
def f(x: "np.ndarray[2]", axis=1):
    if x < 3:
        raise ValueError(f"{x - 1} is too small")
    return -np.sum(x - 2.0 * np.cos(x), axis=-1)
"""


def test_a_change_is_one_sign_operation_number_comparison_or_axis():
    found = mutation.mutations("m.py", FORMULA)
    told = {(change.line, change.before, change.after) for change in found}
    assert (3, "x < 3", "x <= 3") in told
    assert (5, "axis=-1", "axis=0") in told
    assert (5, "x - 2.0 * np.cos(x)", "x + 2.0 * np.cos(x)") in told
    assert (5, "x - 2.0 * np.cos(x)", "2.0 * np.cos(x) - x") in told
    assert (5, "np.cos", "np.sin") in told
    assert {change.line for change in found} <= {2, 3, 5}  # no message, no type
    for change in found:
        ast.parse(change.source)
        assert change.source != ast.unparse(ast.parse(FORMULA))
    assert not any(change.before == "-1" for change in found)  # the axis is changed as one
    assert len({change.source for change in found}) == len(found)


def test_each_module_has_tests_or_those_of_its_folder():
    assert mutation.tests_of("atmodist/fields/winds.py") == "tests/fields/test_winds.py"
    assert (
        mutation.tests_of("evaluation/numerics/spectra.py")
        == "tests/evaluation/numerics/test_spectra.py"
    )
    assert mutation.tests_of("srgan/restoration/no_such.py") == "tests/srgan/restoration"
