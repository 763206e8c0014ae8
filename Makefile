# Everything runs in .venv, which the first target makes. Needs Python 3.11 or newer with pip, make and git.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo explore ipynb test test-browser screenshots bench docs clean

help:
	@echo "make demo    the irreducible error of real datasets: tables and a page with figures"
	@echo "make explore notebooks with sliders, in the browser; nothing leaves this computer"
	@echo "make ipynb   the same notebooks for Jupyter, in build/notebooks/"
	@echo "make test    everything that CI runs: style, types, tests, doctests"
	@echo "make test-browser  notebooks and the report page in a real Chromium; make screenshots keeps the pictures"
	@echo "make bench   timings against other libraries, written to benchmarks/results/"
	@echo "make docs    the documentation as HTML, in build/docs/"
	@echo "make clean   remove $(VENV) and everything else that is generated"
	@echo "Another interpreter: make demo PYTHON=python3.12"

demo: $(VENV)/.demo
	$(BIN)/bounds demo

# Read-only, so that nothing asks for updates; with the code of each cell under the three dots.
explore: $(VENV)/.notebooks
	$(BIN)/marimo run --include-code notebooks

ipynb: $(VENV)/.notebooks
	@mkdir -p build/notebooks
	@for one in notebooks/*.py; do $(BIN)/marimo export ipynb "$$one" --force -o "build/notebooks/$$(basename "$$one" .py).ipynb" || exit 1; done
	@echo "in build/notebooks/: jupyter lab build/notebooks"

# One thread of linear algebra for each of the two test processes, or they would compete for the cores.
test: $(VENV)/.dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --doctest-glob='*.md' --ignore=tests/browser tests bounds toy_models README.md

# What is skipped says why: no Chromium, mostly.
test-browser: $(VENV)/.browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/browser

screenshots: $(VENV)/.browser
	OMP_NUM_THREADS=1 SCREENSHOTS=docs/images $(BIN)/python -m pytest tests/browser

bench: $(VENV)/.bench
	@for script in lattice samples streaming shannon optimum optimum_study audit_power tabular gaussian_fit training accuracy interval_coverage notebooks fuzz; do echo "$$script"; $(BIN)/python "benchmarks/$$script.py" || exit 1; done

# A warning is an error, and -n asks that every reference leads somewhere.
docs: $(VENV)/.docs
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -q -W --keep-going -n docs build/docs
	@echo "the pages are in build/docs/index.html"

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist demo *.egg-info
	find . \( -name __pycache__ -o -name __marimo__ \) -type d -prune -exec rm -rf {} +

# A stamp is newer than what it was made from, so an environment that is there costs nothing.
$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing the demo into $(VENV) (once)"
	@$(INSTALL) -e '.[demo]'
	@touch $@

$(VENV)/.notebooks: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing the notebooks into $(VENV) (once)"
	@$(INSTALL) -e '.[notebooks]'
	@touch $@

$(VENV)/.browser: $(VENV)/.dev
	@echo "installing what drives a browser into $(VENV) (once)"
	@$(INSTALL) -e '.[browser]'
	@touch $@

# The dev extra contains the demo extra. MultiVae asks for torchvision and more, which its models do without.
$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing the development tools into $(VENV) (once)"
	@$(INSTALL) -e '.[dev]' pydantic cloudpickle tqdm
	@$(INSTALL) --no-deps multivae pythae
	@touch $@ $(VENV)/.demo $(VENV)/.notebooks

$(VENV)/.docs: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing what builds the documentation into $(VENV) (once)"
	@$(INSTALL) -e '.[docs]'
	@touch $@

# thoi brings torch, which is large. Of what psitip asks for, pycddlib has to be compiled, and nothing here uses it.
$(VENV)/.bench: $(VENV)/.dev
	@echo "installing the libraries to compare with into $(VENV) (once)"
	@$(INSTALL) thoi cvxpy infomeasure npeet_plus sparse
	@$(INSTALL) --no-deps psitip pulp
	@touch $@

# ensurepip is what Debian and Ubuntu leave out of Python; the check must also run on a Python that is too old.
$(BIN)/python:
	@command -v "$(PYTHON)" >/dev/null || \
		{ echo "$(PYTHON) was not found: install Python 3.11 or newer, or name one with make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11: install Python 3.11 or newer, or name one with make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) has no venv module: install it (Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV)
