# Each target sets up .venv by itself, and again whenever pyproject.toml or constraints.txt have changed.
# Needed beforehand: Python 3.11, git and make.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed
PEERS := .venv-peers
# The longest tests mostly wait for what they have killed, stopped or filled: half as many again as there are cores.
WORKERS := $(shell expr $$(nproc) + $$(nproc) / 2)
PEERS_READY := $(PEERS)/.installed

.DEFAULT_GOAL := help
.PHONY: help play test lint bench soak docs chromium rsync

help: ## Show the targets.
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

# In a terminal the realm gets a process group of its own: Ctrl-C is for it alone, and make ends with its exit code 0.
play: $(RUNTIME) ## Try the realm out in playground/, where it plays itself; Ctrl-C saves and ends it.
	@if [ -t 0 ]; then bash -c 'set -m; $(BIN)/python realm.py play; exit $$?'; else $(BIN)/python realm.py play; fi

# Tests of one file share realms, so a file stays with one worker. In the order of the folders the longest come first,
# which keeps all cores busy to the end; xdist's own order would put files with a single long test last.
test: $(DEV) chromium rsync ## Run all tests.
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=15

lint: $(DEV) ## Check style, types and the floors of the house.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports

bench: $(DEV) $(PEERS_READY) ## Measure all of it, training beside TRL; takes some hours.
	$(BIN)/python -m benchmarks.gate
	$(BIN)/python -m benchmarks.burst --files 10000
	$(BIN)/python -m benchmarks.big_file --gigabytes 3
	$(BIN)/python -m benchmarks.save
	$(BIN)/python -m benchmarks.vault
	$(BIN)/python -m benchmarks.transfer
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.small_files
	$(BIN)/python -m benchmarks.control_plane
	$(BIN)/python -m benchmarks.page
	$(BIN)/python -m benchmarks.skills
	$(BIN)/python -m benchmarks.curriculum
	$(BIN)/python -m benchmarks.all_figures

soak: $(DEV) chromium ## Kill a realm 200 times at random while it learns 40 quests, and compare; watch what grows, and the page. Takes about two and a half hours.
	$(BIN)/python -m benchmarks.soak --quests 40 --kills 200 --minutes 30 --pairs 30
	$(BIN)/python -m benchmarks.three_machines
	$(BIN)/python -m benchmarks.page_truth --minutes 10
	$(BIN)/python -m benchmarks.page_memory --minutes 60

docs: $(DEV) ## Write what is generated anew: docs/reference/ and the schemas of new databases.
	$(BIN)/python -m docs.make_reference
	$(BIN)/python -m docs.make_schemas

# torch goes first and by its exact version: asked for as somebody's dependency, pip looks for the newest build, which
# brings several gigabytes of CUDA packages.
$(RUNTIME): pyproject.toml constraints.txt
	@echo "Setting up $(VENV); the first time this takes a few minutes."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) torch==2.13.0
	@$(PIP) -e .
	@touch $@

$(DEV): $(RUNTIME)
	@$(PIP) -e '.[dev]'
	@touch $@

# The tools that training is compared with, apart from ours but with the same torch and transformers.
$(PEERS_READY): benchmarks/peers/requirements.txt constraints.txt
	@echo "Setting up $(PEERS) with TRL; this takes a few minutes."
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	@$(PEERS)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -r benchmarks/peers/requirements.txt
	@touch $@

# The page is tested in the system's browser.
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { \
	    test "$$(id -u)" = 0 && command -v apt-get >/dev/null || \
	        { echo "The tests need Chromium. On Debian: sudo apt-get install chromium" >&2; exit 1; }; \
	    export DEBIAN_FRONTEND=noninteractive; \
	    apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium; }

# Hosts without an officer are reached by it.
rsync:
	@command -v rsync >/dev/null || { \
	    test "$$(id -u)" = 0 && command -v apt-get >/dev/null || \
	        { echo "The tests need rsync. On Debian: sudo apt-get install rsync" >&2; exit 1; }; \
	    export DEBIAN_FRONTEND=noninteractive; \
	    apt-get update -qq && apt-get install -qq -y --no-install-recommends rsync; }
