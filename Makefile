# The commands of this project. Every target sets up what it needs; the logic is in packaging/.
PYTHON ?= python3
VENV := .venv/bin/python
BENCH_ARGS ?=
SOAK_ARGS ?=
CONFORMANCE_ARGS ?=
HOURS ?= 1

.DEFAULT_GOAL := help
.PHONY: help run setup test quick fresh dist bench soak conformance lint fmt lock clean

help: ## Show these targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## Install what is missing and make .venv, with the core built
	@$(PYTHON) packaging/setup.py

run: setup ## Open the workbench with a Debian machine in the library (in the terminal without a display)
	@$(VENV) packaging/first_run.py

test: ## Everything: Rust, Python without Qt, Qt offscreen, real boots (under 25 minutes)
	@$(PYTHON) packaging/check.py full

quick: ## The checks for every few minutes of work (under 3 minutes)
	@$(PYTHON) packaging/check.py quick

lint: ## Formatting, clippy, ruff, mypy, import rules
	@$(PYTHON) packaging/check.py lint

fmt: setup ## Format all sources
	@cargo fmt --manifest-path core/Cargo.toml --all
	@$(VENV) -m ruff check --quiet --fix-only . && $(VENV) -m ruff format --quiet .

bench: setup ## Measure this engine beside QEMU and the host; writes docs/benchmarks.md
	@$(PYTHON) packaging/system_packages.py bench guests
	@$(VENV) core/benches/bench.py $(BENCH_ARGS)

soak: setup ## The long tests, for HOURS hours; adds a line to docs/soak.md
	@$(VENV) packaging/soak.py --hours $(HOURS) $(SOAK_ARGS)

conformance: setup ## Compare the processor with every oracle; writes docs/conformance.md
	@$(VENV) packaging/conformance.py $(CONFORMANCE_ARGS)

fresh: ## Prove the README's two commands in a new Debian 12
	@$(PYTHON) packaging/fresh.py

dist: setup ## Build the wheels and the .deb into dist/
	@$(VENV) packaging/dist.py

lock: ## Resolve the Python packages anew into requirements.lock
	@$(PYTHON) -m venv build/venv-uv
	@build/venv-uv/bin/pip install --quiet --disable-pip-version-check 'uv>=0.13,<1'
	@build/venv-uv/bin/python packaging/lock.py

clean: ## Remove what the targets made in the checkout (caches outside it stay)
	@rm -rf build dist .venv core/target .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	@rm -f core/python/vmwb_core/*.so
