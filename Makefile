# `make` prints what can be made.
.DEFAULT_GOAL := help
.PHONY: help setup demo test matrix check bench lock format clean

help: ## Print this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv from the lock file (every other target does it when needed)
	@scripts/setup

demo: setup ## See it run: a server, a shop, kill -9 in the middle, every order arrives
	@.venv/bin/python examples/shop/demo.py $(ARGS)

test: check ## Everything that CI runs: the checks, all tests, coverage, work per step
	@scripts/test

matrix: setup ## The tests under each other supported Python that this machine has
	@scripts/matrix $(ARGS)

check: setup ## Lint, format, layering and types only
	@scripts/check

bench: setup ## Measure this machine; `make bench ARGS=--readme` writes the table into README.md
	@.venv/bin/python -m benchmarks $(ARGS)

format: setup ## Put the code and the generated pages into shape
	@.venv/bin/ruff check --fix-only --quiet . && .venv/bin/ruff format --quiet .
	@.venv/bin/python scripts/api_reference.py
	@.venv/bin/python scripts/cli_reference.py
	@.venv/bin/python scripts/sdk_reference.py
	@.venv/bin/python scripts/config_reference.py
	@.venv/bin/python scripts/timelines.py

lock: ## Renew requirements.lock (needs uv)
	@scripts/lock

clean: ## Remove everything that can be made again
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .holdfast dist \
	    ui/node_modules src/holdfast/_ui \
	    tests/conformance/js_app/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
