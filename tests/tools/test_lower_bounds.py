"""The lowest versions that continuous integration installs."""

import pytest

from tests.tools.loading import TOOLS, tool

lower_bounds = tool("lower_bounds").lower_bounds


def test_all_requirements_of_this_project_have_a_lower_bound():
    found = lower_bounds(TOOLS.parent / "setup.py")
    assert {"tensorflow", "keras", "jsonargparse", "ducc0", "pytest"} <= set(found)
    assert all(version[0].isdigit() for version in found.values())


def test_extras_in_brackets_and_upper_bounds_are_left_out(tmp_path):
    setup = tmp_path / "setup.py"
    setup.write_text(
        "from setuptools import setup\n"
        'setup(install_requires=["a-b[c,d]>=1.20,<3"], extras_require={"x": ["e>=2024.12"]})\n'
    )
    assert lower_bounds(setup) == {"a-b": "1.20", "e": "2024.12"}


def test_a_requirement_without_a_lower_bound_is_named(tmp_path):
    setup = tmp_path / "setup.py"
    setup.write_text(
        'from setuptools import setup\nsetup(install_requires=["a<3"], extras_require={})\n'
    )
    with pytest.raises(ValueError, match=r"'a<3' in .*setup.py has no lower bound: write NAME>=X"):
        lower_bounds(setup)
