# Thin names for the commands behind them. Every target sets up what it needs.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python

.PHONY: run setup test bench lint translations screenshots clean

run: $(VENV)/.run
	@exec $(PY) run.py

setup: $(VENV)/.run

test: $(VENV)/.dev
	@$(PY) -m tests.check_browser
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@DB=$(DB) $(PY) -m pytest -n 2 --dist loadfile --cov --cov-report=term -p no:cacheprovider

bench: $(VENV)/.dev
	@$(PY) -m bench

lint: $(VENV)/.dev
	@$(PY) -m ruff check .
	@$(PY) -m mypy

translations: $(VENV)/.dev
	@$(PY) -m translations.update

screenshots: $(VENV)/.dev
	@$(PY) -m docs.screenshots

# The stamps hold what was installed: a changed list installs again, an unchanged one costs nothing.
$(VENV)/.run: requirements.txt translations/zh_Hans_CN/LC_MESSAGES/messages.po translations/en/LC_MESSAGES/messages.po
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@cmp -s requirements.txt $(VENV)/.installed || { $(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt && cp requirements.txt $(VENV)/.installed; }
	@$(VENV)/bin/pybabel --quiet compile -d translations
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

clean:
	rm -rf $(VENV) var
