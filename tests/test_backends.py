"""Tests of other backends must not be skipped where these were meant to be installed."""

import pytest

from tests.backends import REQUIRED, needs


@pytest.mark.parametrize("required", [None, "", "jax,torch"])
def test_a_backend_that_nobody_asked_for_may_be_missing(required, monkeypatch):
    if required is None:
        monkeypatch.delenv(REQUIRED, raising=False)
    else:
        monkeypatch.setenv(REQUIRED, required)
    with pytest.raises(pytest.skip.Exception, match="no_such_backend is not installed"):
        needs("no_such_backend")


def test_a_backend_that_was_asked_for_must_be_there(monkeypatch):
    monkeypatch.setenv(REQUIRED, "jax,no_such_backend")
    with pytest.raises(pytest.fail.Exception, match="pip install 'atmodist\\[no_such_backend\\]'"):
        needs("no_such_backend")


def test_an_installed_package_will_do(monkeypatch):
    monkeypatch.setenv(REQUIRED, "pytest")
    assert needs("pytest") is None
