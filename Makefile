# Every target does all of its own set-up: .venv, PyPI packages, and (as root on Debian) servers.
#
#   make demo     four releases of a shop under constant load, no request lost
#   make test     every test
#   make check    ruff, mypy --strict, import-linter, unit tests
#   make docs     the documentation, in site/
#   make bench    every benchmark, into benchmarks/RESULTS.md; or one: make bench-startup

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check lint lint-rules lint-format lint-types lint-layers unit docs format servers clean bench

# How many processes run the tests: on two cores a third one works while the others wait.
WORKERS ?= 3
PYTEST = .venv/bin/python -m pytest -n $(WORKERS) --dist worksteal

help:
	@sed -n 's/^#   //p' Makefile

.venv/.demo: pyproject.toml scripts/setup
	@scripts/setup demo

.venv/.test: pyproject.toml scripts/setup
	@scripts/setup test

servers:
	@scripts/servers

demo: .venv/.demo
	.venv/bin/pilotage demo $(ARGS)

test: .venv/.test servers
	$(PYTEST) $(ARGS)

check: lint unit

lint: lint-rules lint-format lint-types lint-layers

lint-rules: .venv/.test
	.venv/bin/ruff check .

lint-format: .venv/.test
	.venv/bin/ruff format --check .

lint-types: .venv/.test
	.venv/bin/mypy

lint-layers: .venv/.test
	.venv/bin/lint-imports --no-logo

unit: .venv/.test
	$(PYTEST) tests/unit $(ARGS)

BENCHMARKS = startup planning migrations deploys hazards

.venv/.bench: pyproject.toml scripts/setup
	@scripts/setup bench
	@touch $@

# dbmate is a binary that npm brings; without npm its row is missing.
benchmarks/node_modules:
	@npm install --silent --no-save --no-package-lock --prefix benchmarks dbmate@2 || \
		echo "bench: dbmate could not be installed with npm; it is left out"

.PHONY: $(BENCHMARKS:%=bench-%)
$(BENCHMARKS:%=bench-%): bench-%: .venv/.bench benchmarks/node_modules
	.venv/bin/python -m benchmarks.$* $(ARGS)

# Some twenty minutes on a quiet machine, so it is no part of `bench`. Interrupted, it goes on where it was;
# ARGS="--scale 3 --protocol simple" for a look.
.PHONY: bench-locks
bench-locks: .venv/.bench
	.venv/bin/python -m benchmarks.online.locks $(ARGS)

# Some eight minutes, and likewise.
.PHONY: bench-locks-mariadb
bench-locks-mariadb: .venv/.bench
	.venv/bin/python -m benchmarks.online.mysql_locks $(ARGS)

# Less than ten minutes on a quiet machine: a million rows a round, then 200 kills. ARGS="--rows 100000 --rounds 1
# --kills 5 --only-print" for a look.
.PHONY: bench-backfill
bench-backfill: .venv/.bench
	.venv/bin/python -m benchmarks.online.backfill $(ARGS)

# Some three minutes.
.PHONY: bench-backfill-mariadb
bench-backfill-mariadb: .venv/.bench
	.venv/bin/python -m benchmarks.online.mysql_backfill $(ARGS)
# Some twenty-five minutes (with ARGS="--rounds 3" twenty), as root: it makes hosts and installs the real Kamal. Interrupted, it
# goes on where it was. ARGS="--rounds 1 --hosts 1 --only shapes,broken --only-print" for a look; in parts, give all but the
# last `--only PART --only-print`: what they measured is kept, and the last one writes all of it.
.PHONY: bench-kamal
bench-kamal: .venv/.test servers
	.venv/bin/python -m benchmarks.kamal $(ARGS)

bench: $(BENCHMARKS:%=bench-%)

docs: .venv/.test
	.venv/bin/mkdocs build --strict

format: .venv/.test
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

clean:
	rm -rf .venv site dist .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
