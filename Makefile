# Every target sets up what it needs; a target that has nothing to do costs nothing.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SIMULATION := tests/fault/simulation

.PHONY: setup demo test lint types bench chaos clean schemas lock
.DEFAULT_GOAL := demo

# Some of the locked packages have no builds for a newer one: told here, or pip would ask for a compiler.
PYTHONS := (3, 11) <= sys.version_info < (3, 15)

# A stamp names the set of dependencies that is installed; it is older than its lock file when that changed.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(None if $(PYTHONS) else "Python 3.11 to 3.14 is needed, this is " + sys.version.split()[0] + ": name another, such as make PYTHON=python3.14")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-%: requirements/%.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing the locked dependencies ($*) into $(VENV); the first time takes a minute"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$*.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(VENV)/.installed-embedded

# An hour in a second, from the evening before an office week: the servers take until about its first morning.
demo: setup
	$(BIN)/dossier up --simulate gia-lai-2020-h1 --clock 2020-01-05T20:00+07:00 --speed 3600

# Only tests start Kafka so often that this is worth its ten seconds.
$(VENV)/kafka.aot: $(VENV)/.installed-dev deploy/kafka/jgo.lock.toml deploy/embedded/kafka.py tests/kafka_cache.py
	$(BIN)/python -m tests.kafka_cache $@

# The simulation keeps two processors busy for a minute, so it has them for itself. Of the others three files at a time,
# since tests on real servers also wait; in their order, the long ones first.
test: $(VENV)/.installed-dev $(VENV)/kafka.aot
	$(BIN)/python -m pytest $(SIMULATION)
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 20 --ignore $(SIMULATION)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.installed-dev
	$(BIN)/mypy

bench: $(VENV)/.installed-bench
	$(BIN)/python -m bench

SEED    ?= 1
MINUTES ?= 20
chaos: $(VENV)/.installed-dev
	$(BIN)/python -m tests.fault.chaos --seed $(SEED) --minutes $(MINUTES)

schemas: $(VENV)/.installed-dev
	$(BIN)/dossier schemas

lock:
	requirements/lock.sh

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info bench/out
