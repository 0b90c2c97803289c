# make demo: from a bare Python to a trained encoder and a table. make test: the test suite.
# In an environment of your own, with pip install -e ".[dev]" done: make test PYTHON=python VENV=
PYTHON ?= python3
VENV ?= .venv
RUN = $(if $(VENV),$(VENV)/bin/python,$(PYTHON))
INSTALLED = $(if $(VENV),$(VENV)/.installed)

.PHONY: demo test test-fast benchmarks lint format clean

demo: $(INSTALLED)
	$(RUN) main.py --mode demo

test: $(INSTALLED)
	$(RUN) -m pytest

test-fast: $(INSTALLED)
	$(RUN) -m pytest -m "not slow and not browser"

benchmarks: $(INSTALLED)
	$(RUN) -m benchmarks

lint: $(INSTALLED)
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m codespell_lib
	$(RUN) -m mypy

format: $(INSTALLED)
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
