PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-all check scoreboard bench clean

# Restore examples/ and lay before and after side by side.
demo: $(VENV)/.installed
	$(BIN)/airtool restore examples/degraded examples/real demo-out/restored --compare demo-out/compare --overwrite
	$(BIN)/python examples/sheet.py demo-out/compare demo-out/sheet.jpg
	@echo "Look at demo-out/sheet.jpg: before on the left, after on the right."

# Install, lint, type check, tests: what CI runs.
test: check
	$(BIN)/python -m pytest -m "not heavy"

# The same with the tests that take minutes.
test-all: check
	$(BIN)/python -m pytest

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Rebuild the figures in docs/scoreboard.md: make scoreboard AIRTOOL_DATA=... Hours on two cores; goes on where it was
# interrupted. BM3D, one of the rivals, has to be installed by hand: pip install -c constraints.txt -e ".[bench]"
scoreboard: $(VENV)/.installed
	$(BIN)/python benchmarks/scoreboard.py

# Rebuild the figures in docs/speed.md, on a machine that does nothing else: about ten minutes.
bench: $(VENV)/.installed
	$(BIN)/python benchmarks/speed.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e ".[train,iqa,autodir,ray,remote,dev]"
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) demo-out build dist
