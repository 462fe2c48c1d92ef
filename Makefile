# Everything a contributor or a first visitor runs. Needs git, make and Python 3.11 or newer.
# Another Python: make PYTHON=/path/to/python3.12 setup

OLDEST_PYTHON := 3.11
NEW_ENOUGH := import sys; sys.exit(sys.version_info[:2] < (3, 11))
# The first of these that is new enough; python3 if none is, so that the message below names it.
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(shell \
	$(name) -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && echo $(name))) python3)

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
READY_ALL := $(VENV)/.ready-all
# How many processes run tests at a time; 0: this one alone, as --pdb and -s want it.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS)
# Which packages are measured: those of the tree.
IN := .
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# All that is installed is named in a lock with the hashes of its files; ours is made of the tree.
LOCKED := $(INSTALL) --require-hashes -r
OURS := $(INSTALL) --no-deps --no-build-isolation -e .
# What writes the locks.
UV := uv==0.13.9
COMPILE := uv pip compile --quiet --universal --python-version $(OLDEST_PYTHON) --generate-hashes \
	--no-annotate --no-header --upgrade pyproject.toml --extra server --extra otel --extra build

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test test-slow test-centers test-postgres testbed testbed-stop mutants lint proto native bench bench-quality bench-peers audit lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with what the service needs

setup-dev: $(READY_DEV) ## Add what tests and checks need

demo: $(READY) ## Run the whole service on a 3-day workload; ARGS=--serve leaves it up
	@$(BIN)/corridor demo $(ARGS)

test: $(READY_DEV) ## Run the tests; ARGS goes to pytest
	@$(PYTEST) -m "not slow and not centers" $(ARGS)

test-slow: $(READY_DEV) ## Run the slow tests
	@$(PYTEST) -m "slow and not centers" --durations=25 $(ARGS)

test-centers: $(READY_ALL) ## Run the tests with a real Slurm and a ModelArts center (root)
	@$(BIN)/python -m pytest -m centers --durations=25 $(ARGS)

test-postgres: $(READY_DEV) ## Run the tests of store and control with all worlds on PostgreSQL
	@CORRIDOR_WORLDS=postgresql $(PYTEST) -m "not slow and not sqlite" \
		tests/unit/store tests/unit/control tests/unit/auth \
		tests/integration/test_alert_webhook.py tests/integration/test_center_isolation.py $(ARGS)

testbed: ## Start a whole real Slurm on loopback (root) and say how to use it
	@tests/testbed/slurm/up.sh $(ARGS)

testbed-stop: ## Stop it; ARGS="DIR --purge" removes what it wrote as well
	@tests/testbed/slurm/down.sh $(ARGS)

mutants: $(READY_DEV) ## Seed faults in copies of the tree and see their tests fail; ARGS chooses
	@$(BIN)/python -m tests.mutants $(ARGS)

lint: $(READY_DEV) ## Check style, types, boundaries and protos
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy proto/tools/generate.py proto/tools/check.py deploy/native.py deploy/audit.py deploy/kubernetes/rules.py
	$(BIN)/lint-imports
	$(BIN)/python proto/tools/generate.py --check
	$(BIN)/python proto/tools/check.py

proto: $(READY_DEV) ## Generate proto/gen and check the protos
	$(BIN)/python proto/tools/generate.py
	$(BIN)/python proto/tools/check.py

native: $(READY_DEV) ## Compile the planner into a copy of the packages, build/native
	@$(BIN)/python deploy/native.py build/native

bench: $(READY) ## Run the benchmarks; ARGS chooses among them, IN=build/native what is compiled
	@cd $(IN) && $(abspath $(BIN))/python -m benchmarks $(ARGS)

bench-quality: $(READY) ## Judge the planner's decisions beside EASY and others; ARGS=--quick
	@$(BIN)/python -m benchmarks.quality $(ARGS)

bench-peers: $(READY) ## Compare with a real Slurm, 20 minutes (root); ARGS="--quick --json FILE --pages"
	@tests/testbed/install.sh peers
	@$(BIN)/python -m benchmarks.peers $(ARGS)

audit: $(READY_ALL) ## Check licenses, and known vulnerabilities where a service tells of them
	@$(BIN)/python deploy/audit.py $(ARGS)

lock: ## Write the locks, with hashes: the newest versions that pyproject.toml allows
	@$(PYTHON) -m venv --clear build/lock
	@build/lock/bin/python -m pip install --quiet --disable-pip-version-check $(UV)
	@build/lock/bin/$(COMPILE) -o build/lock/requirements.lock
	@build/lock/bin/$(COMPILE) --extra dev -c build/lock/requirements.lock \
		-o build/lock/requirements-dev.lock
	@build/lock/bin/$(COMPILE) --extra dev --extra centers --extra audit \
		-c build/lock/requirements-dev.lock -o build/lock/requirements-all.lock
	@for name in requirements requirements-dev requirements-all; do \
		{ sed -n '/^#/p' $$name.lock; sed '/^#/d' build/lock/$$name.lock; } > build/lock/$$name \
		&& mv build/lock/$$name $$name.lock || exit 1; done
	@rm -rf build/lock

clean: ## Remove .venv and all caches; data of the service stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c '$(NEW_ENOUGH)' 2>/dev/null || { \
		echo "Corridor needs Python $(OLDEST_PYTHON) or newer; $(PYTHON) is" \
			"$$($(PYTHON) --version 2>&1). Install one, or: make PYTHON=/path/to/python3 ..." >&2; \
		exit 1; }
	@echo "making $(VENV) with $(PYTHON)" >&2
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu:" \
			"apt-get install python3-venv" >&2; \
		exit 1; }

# Done again only when what is wanted or its versions changed.
$(READY): pyproject.toml requirements.lock | $(BIN)/python
	@echo "installing the service and what it needs (about a minute)" >&2
	@$(LOCKED) requirements.lock
	@$(OURS)
	@touch $@

$(READY_DEV): requirements-dev.lock $(READY)
	@echo "installing what tests and checks need" >&2
	@$(LOCKED) requirements-dev.lock
	@touch $@

$(READY_ALL): requirements-all.lock $(READY_DEV)
	@echo "installing what tests of centers and audits need" >&2
	@$(LOCKED) requirements-all.lock
	@touch $@
