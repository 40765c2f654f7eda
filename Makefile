# Thin names for the commands behind them. Every target sets up what it needs.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
CATALOGUES := $(wildcard translations/*/LC_MESSAGES/*.po)
COMPILED := $(CATALOGUES:.po=.mo)
PIP := $(PY) -m pip install --quiet --disable-pip-version-check

.PHONY: run setup test coverage bench lint translations screenshots clean

run: setup
	@exec $(PY) run.py

setup: $(VENV)/.installed $(COMPILED)

test: $(VENV)/.installed-dev $(COMPILED)
	@$(PY) -m tests.check_browser
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@DB=$(DB) $(PY) -m pytest -n 2 --dist loadfile -p no:cacheprovider

# Which lines no test runs. Apart from the tests, because counting lines costs a third of their time.
coverage: $(VENV)/.installed-dev $(COMPILED)
	@DB=$(DB) $(PY) -m pytest -n 2 --dist loadfile --cov --cov-report=term -p no:cacheprovider

bench: $(VENV)/.installed-dev $(COMPILED)
	@$(PY) -m bench

lint: $(VENV)/.installed-dev
	@$(PY) -m ruff check .
	@$(PY) -m mypy

translations: $(VENV)/.installed-dev
	@$(PY) -m translations.update

screenshots: $(VENV)/.installed-dev $(COMPILED)
	@$(PY) -m docs.screenshots

# The environment is made whole or not at all, so that a failed attempt is simply made again.
$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is needed: apt-get install -y python3-venv"; exit 1; }
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV)

# A stamp is the list that was installed: a file only touched (a fresh clone, another branch and back) installs nothing.
$(VENV)/.installed: requirements.txt | $(PY)
	@cmp -s $< $@ || { echo "installing $< ..." && $(PIP) -r $< && cp $< $@; }
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@cat requirements.txt $< | cmp -s - $@ || { echo "installing $< ..." && $(PIP) -r $< && cat requirements.txt $< > $@; }
	@touch $@

%.mo: %.po | $(VENV)/.installed
	@$(VENV)/bin/pybabel --quiet compile -i $< -o $@

clean:
	rm -rf $(VENV) var
