# Two commands on a fresh machine: `make repro` and `make test`. Needs Python 3.11+, git and make.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

UV_VERSION := 0.13.8
PYTHON := $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	if $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then \
	command -v $$p; break; fi; done)
VENV := .venv
UV := .tools/bin/uv
RUN_STAMP := $(VENV)/.requirements.lock
DEV_STAMP := $(VENV)/.requirements-dev.lock

# Git and DVC do not start with a HOME that is a file or below one.
ifneq (,$(findstring Not a directory,$(shell LC_ALL=C ls "$$HOME/." 2>&1)))
$(warning HOME is $(HOME), which is no directory: $(CURDIR)/state/home stands in for it)
export HOME := $(shell mkdir -p state/home && pwd)/state/home
endif

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
export GX_ANALYTICS_ENABLED := false
export MLFLOW_DISABLE_TELEMETRY := true
export RAY_USAGE_STATS_ENABLED := 0
export HF_HUB_OFFLINE := 1
export ORT_DISABLE_TELEMETRY := 1
# DVC takes stages that could go first in an order that hashes decide, and registers models in it.
export PYTHONHASHSEED := 0
# Without it every process compiles the package, every test worker the tests, again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List the commands.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(UV):
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 to 3.13 is needed and was not found" >&2; exit 1; }
	@$(PYTHON) -m venv .tools && .tools/bin/python -m pip install --quiet uv==$(UV_VERSION)

$(VENV)/bin/python: | $(UV)
	@$(UV) venv --quiet --python "$(PYTHON)" $(VENV)

# `uv pip install` adds what is missing and changes what differs; a stamp skips it when the lock is
# the installed one. Byte-compiling once saves seconds in every process that follows.
$(RUN_STAMP): requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "installing the locked environment (about 7 GB, most of it torch's CUDA libraries)"
	@$(UV) pip install --quiet --python $(VENV)/bin/python --require-hashes --compile-bytecode -r requirements.lock
	@$(UV) pip install --quiet --python $(VENV)/bin/python --no-deps --editable .
	@touch $@

$(DEV_STAMP): requirements-dev.lock $(RUN_STAMP)
	@$(UV) pip install --quiet --python $(VENV)/bin/python --require-hashes --compile-bytecode -r requirements-dev.lock
	@touch $@

.PHONY: setup
setup: $(RUN_STAMP) ## Install the locked environment into .venv.

# DVC without git, for a copy of the project that is no repository (`git archive`), and with what a
# kill left mended.
.PHONY: project
project: setup
	@git rev-parse --git-dir >/dev/null 2>&1 || dvc config --local core.no_scm true
	@unstained mend

.PHONY: repro
repro: project ## Run every stage that is out of date, then print who is champion and why.
	@$(if $(CELLCYCLE),unstained source cellcycle "$(CELLCYCLE)")
	@dvc repro
	@unstained summary

.PHONY: baselines
baselines: project ## Every model on every fold with every seed, then tables and figures.
	@dvc repro split
	@unstained grid
	@dvc repro baselines/dvc.yaml

.PHONY: test
test: check pytest ## Install what the tests need, lint, check types and layers, run the tests.

.PHONY: test-all
test-all: export UNSTAINED_TEST_ALL := 1
test-all: test ## The same with the tests that take minutes: images.

.PHONY: check
check: $(DEV_STAMP) ## Lint, formatting, types, import contracts.
	@ruff check .
	@ruff format --check .
	@mypy
	@lint-imports --no-cache

.PHONY: pytest
pytest: $(DEV_STAMP) ## The test suite, with a worker more than two cores keep busy: some wait for servers.
	@python -m pytest -n $(or $(TEST_WORKERS),3) --dist loadgroup --no-loadscope-reorder --durations=20

.PHONY: bench
bench: $(DEV_STAMP) ## Benchmarks, as ratios from one run (tests/bench).
	@python -m tests.bench

.PHONY: chaos
chaos: $(DEV_STAMP) ## Kill a small project 100 times (KILLS=10 SEED=1): it must end as undisturbed.
	@python -m tests.chaos --kills $(or $(KILLS),100) --seed $(or $(SEED),0)

.PHONY: format
format: $(DEV_STAMP) ## Format and apply safe fixes.
	@ruff check --fix . && ruff format .

.PHONY: lock
lock: $(UV) ## Resolve pyproject.toml into the lock files: run, dev, serve, build.
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url pyproject.toml -o requirements.lock
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
	@for group in serve build; do $(UV) pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-header --no-emit-index-url --group pyproject.toml:$$group \
		-c requirements.lock -o requirements-$$group.lock || exit 1; done

.PHONY: clean
clean: ## Remove what runs made (data, models, registry, ledger); keeps the environment.
	@rm -rf runs state mlartifacts mlflow.db* ledger dvc.lock .dvc/cache .dvc/tmp
