import sys
from types import ModuleType

import pytest

from atmodist.lazy import lazy_names


def test_names_are_imported_when_they_are_asked_for(monkeypatch):
    package = ModuleType("made_up")
    monkeypatch.setitem(sys.modules, "made_up", package)
    package.own = 1
    package.__getattr__, package.__dir__ = lazy_names("made_up", {"tau": "math"})
    assert package.tau == pytest.approx(6.2832, rel=1e-4)
    assert {"own", "tau"} <= set(dir(package))
    with pytest.raises(AttributeError, match="module 'made_up' has no attribute 'nothing'"):
        package.nothing  # noqa: B018
