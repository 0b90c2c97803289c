# make demo: from a bare Python to a trained encoder and a table. make test: the test suite.
# In an environment of your own: make test PYTHON=python VENV=
PYTHON ?= python3
VENV ?= .venv
RUN = $(if $(VENV),$(VENV)/bin/python,$(PYTHON))
INSTALLED = $(if $(VENV),$(VENV)/.installed)

.PHONY: demo test benchmarks lint clean

demo: $(INSTALLED)
	$(RUN) main.py --mode demo

test: $(INSTALLED)
	$(RUN) -m pytest

benchmarks: $(INSTALLED)
	$(RUN) -m benchmarks

lint: $(INSTALLED)
	$(RUN) -m ruff check .

$(VENV)/.installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
