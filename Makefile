# fmtt: `make demo` looks at a tilted flow map within a minute after installation
PYTHON ?= python3.11
BIN := .venv/bin
RUN := OMP_NUM_THREADS=$${OMP_NUM_THREADS:-2} $(BIN)/python

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint validate bench train-mnist clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/installed ## create .venv from the pinned requirements

.venv/installed: requirements.txt requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## tilt MNIST digits toward mirror symmetry; look at the picture and the report
	$(RUN) run.py lookahead=flowmap4 reward=symmetry

test: setup lint ## lint, then all tests (under 10 minutes on 2 cores)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 tests

lint: setup ## ruff, import-linter, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

validate: setup ## the statistical suite: 500 random problems, orders of convergence, mutants; outputs/validation/report.html
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.validation.suite

bench: setup ## time of a step: network forward, backward, reward, everything else
	$(RUN) scripts/benchmark.py

train-mnist: setup ## train the bundled flow map and classifiers again (hours)
	$(RUN) scripts/train_reward.py
	$(RUN) scripts/train_reward.py seed=1 net.width=24 net.features=96 training.epochs=6 \
		export=fmtt/models/bundled/digit_evaluator.safetensors
	$(RUN) scripts/train_flow_map.py

clean: ## delete .venv, outputs and caches
	rm -rf .venv outputs .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache fmtt.egg-info
