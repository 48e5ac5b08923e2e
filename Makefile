# GPU Lab. `make up` runs it, `make test` tests it; both do all the set-up they need.
PYTHON ?= python3
VENV := .venv/bin
PORT ?= 8000
export PORT

.DEFAULT_GOAL := help
.PHONY: help up gpu-check test test-long check lint types walls migrations format lock env env-dev clean

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env:
	@$(PYTHON) tools/bootstrap.py base

env-dev:
	@$(PYTHON) tools/bootstrap.py dev

up: env ## Set up what is missing and serve GPU Lab at http://localhost:PORT (8000); Ctrl-C ends it
	@exec $(VENV)/python -m tools.up

gpu-check: env ## Try all that GPU Lab builds on, on this host's real NVIDIA cards (as root)
	@$(VENV)/python -m worker.gpucheck $(GPU_CHECK)

test: env-dev ## Run the tests; what this machine cannot run is listed at the end
	@$(VENV)/python -m tools.test $(TESTS)

test-long: env-dev ## The long sweeps, left out of `make test`
	@$(VENV)/python -m tools.test --long $(TESTS)

check: lint types walls migrations ## Lint, types, walls between the packages, migrations

lint: env-dev
	@$(VENV)/ruff check . && $(VENV)/ruff format --check .

types: env-dev
	@$(VENV)/mypy labs worker

walls: env-dev
	@$(VENV)/lint-imports

migrations: export DJANGO_SETTINGS_MODULE = tests.settings
migrations: env-dev
	@$(VENV)/python manage.py check && $(VENV)/python manage.py makemigrations --check --dry-run

format: env-dev ## Put the code into its one format
	@$(VENV)/ruff check --fix . && $(VENV)/ruff format .

lock: env-dev ## Pin requirements/*.in anew into requirements/*.txt, with hashes and without addresses
	@$(VENV)/python -m tools.lock

clean: ## Remove the environment and caches; people's data (.gpulab) stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -not -path './.git/*' -exec rm -rf {} +
