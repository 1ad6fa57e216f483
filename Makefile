# openami. `make help` lists what there is. Options of a command go in ARGS="…".
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
ARGS ?=
export PYTHONWARNDEFAULTENCODING =
# A virtual environment that happens to be active is not ours.
unexport VIRTUAL_ENV
# Every process would compile all that it imports anew: a second for each that a test starts.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test check bench docs format lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo
	@echo '  Options of demo, test and bench go in ARGS, as in: make demo ARGS="--for 120s"'

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'openami needs Python 3.11 or newer: make PYTHON=/path/to/python3.11' >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/uv.txt

# What the product needs, exactly as locked.
$(VENV)/.run: $(UV) requirements/run.txt pyproject.toml
	@echo 'installing what openami needs into $(VENV), once' >&2
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/run.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

# What tests and checks need beside it.
$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

demo: $(VENV)/.run ## Run the whole chain on this machine
	@$(BIN)/openami demo $(ARGS)

test: $(VENV)/.dev ## Run every test; installs what they need
	@$(BIN)/python tools/run_tests.py $(ARGS)

check: $(VENV)/.dev ## Run ruff, mypy, the import contracts, and the checks of the docs; find the tests
	@$(BIN)/python tools/run_checks.py

bench: $(VENV)/.dev ## Run the benchmarks and print their ratios
	@$(BIN)/python -m bench $(ARGS)

docs: $(VENV)/.dev ## Write the generated pages of docs/ anew
	@$(BIN)/python tools/generate_docs.py

format: $(VENV)/.dev ## Format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix-only --quiet .

lock: $(UV) ## Resolve the dependencies anew into requirements/
	@$(BIN)/python tools/lock.py

clean: ## Remove the environment and every cache
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* .import_linter_cache
