# Each target works first in a fresh clone: it makes what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHARED_DATA := $(abspath ../shared/data)
export SAMPHIRE_DATA ?= $(if $(wildcard $(SHARED_DATA)),$(SHARED_DATA))

.PHONY: help install demo test check bench docs format clean

help: ## what each target does
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

install: $(VENV)/.installed ## make .venv with all that demo, tests and checks need

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "installing into $(VENV), once: a minute or two"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: install ## one click on a photo: the three-level answer in one picture
	$(BIN)/samphire demo --output samphire-demo.png --force

test: install ## every test on two cores, real weights included (and ../shared/data where it exists)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m '' --hypothesis-profile=thorough

check: install ## format, lint, types, the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install ## how fast it is: the encoder, clicks, everything, start; hours, on an idle machine
	$(BIN)/pip install --quiet --constraint constraints.txt --requirement benchmarks/requirements.txt
	$(BIN)/python benchmarks/encoder.py
	$(BIN)/python benchmarks/clicks.py
	$(BIN)/python benchmarks/everything.py
	$(BIN)/python benchmarks/everything.py --same-masks
	$(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/rewrites.py

docs: install ## the documentation site, in site/index.html; warnings fail, no network
	$(BIN)/python docs/generate.py
	$(BIN)/zensical build --strict --clean
	$(BIN)/python docs/check_site.py site

format: install ## let ruff format and fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove what make made (the weights cache and .benchmarks stay)
	rm -rf $(VENV) site .cache docs/tutorial/first-masks.md samphire-demo.png .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
