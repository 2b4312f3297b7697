# `make quickstart` and `make test` need nothing but Python >= 3.11 and make.
# Both make their own environment in .venv; a second run finds it ready.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: help quickstart test test-all docs lint format clean

help:
	@echo "make quickstart   the whole project on a simulated atmosphere, in some minutes"
	@echo "make test         lint, types and the quick tests"
	@echo "make test-all     the slow tests as well"
	@echo "make docs         the documentation, into the folder site"
	@echo "make format       let ruff format the code"
	@echo "make clean        remove the environment and what quickstart made"

$(STAMP): setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "AtmoDist needs Python 3.11 or newer; this is %s. Try: make PYTHON=python3.11" % sys.version.split()[0])'
	@echo "Setting up $(VENV) (once; about 3.5 GB, a few minutes) ..."
	@$(PYTHON) -m venv $(VENV) || { echo "Could not make $(VENV). On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off --editable '.[all,dev]'
	@touch $@

quickstart: $(STAMP)
	@$(BIN)/atmodist quickstart

# Each process holds TensorFlow, some 1.5 GB: no more than four. PYTEST_FLAGS are for what else is
# wanted, such as `make test PYTEST_FLAGS=--cov`.
test: $(STAMP) lint
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile -m "not slow" $(PYTEST_FLAGS)

test-all: $(STAMP) lint
	@$(BIN)/python -m pytest

# The variable silences an advertisement.
docs: $(STAMP)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "Open site/index.html, or with its search: $(BIN)/python -m http.server --directory site"

lint: $(STAMP)
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy
	@$(BIN)/lint-imports --no-cache

format: $(STAMP)
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m ruff format .

clean:
	rm -rf $(VENV) quickstart site build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
