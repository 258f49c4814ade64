# The two commands of a fresh machine: `make quickstart` and `make test`. The rest is for daily work.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: quickstart test unit lint bench conformance testbed clean help

help:
	@echo "make quickstart  build the example with a real daemon and run what came out"
	@echo "make test        everything a fresh machine needs, then every test"
	@echo "make unit        the tests that need no daemon"
	@echo "make lint        ruff and mypy"
	@echo "make conformance  20,000 random programs, marshalled by Go and by pyllb"
	@echo "make bench       pyllb beside buildctl and Go, in the same run"
	@echo "make clean       what make put into this folder"

# The stamp is newer than pyproject.toml when every dependency it names is installed.
$(VENV)/.ready: pyproject.toml tools/venv.sh
	sh tools/venv.sh $(PYTHON) $(VENV)
	touch $@

quickstart: $(VENV)/.ready
	$(BIN)/python -m tests.testbed.quickstart

test: $(VENV)/.ready lint
	$(BIN)/python -m tests.testbed prepare
	$(BIN)/python -m pytest -n 2 --dist loadfile  # each of the two has a daemon and registries of its own

unit: $(VENV)/.ready
	$(BIN)/python -m pytest tests/unit tests/house tests/golden tests/wire

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.ready
	$(BIN)/python -m benchmarks

conformance: $(VENV)/.ready
	$(BIN)/python -m tests.oracle.conformance

testbed: $(VENV)/.ready
	$(BIN)/python -m tests.testbed up

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
