# Thin and self-documenting: `make` lists the targets, each is one line of a tool.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.DELETE_ON_ERROR:

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/ready ## Make .venv and install what `demo` needs (system packages only if missing)

demo: setup ## Measure the real models on emulated ARM boards and decide: GO (report: reports/latest.html)
	$(PYTEST) --devices=farm.yaml

demo-nogo: setup ## The same farm with candidates that are wrong on purpose: the gate exits 1
	$(PYTEST) --devices=farm.yaml suites/nogo

test: .venv/ready-dev ## Lint, then all tests, emulated boards included
	@$(MAKE) --no-print-directory lint
	$(PYTEST) tests -W error -p no:cacheprovider -m "not power"

test-fast: .venv/ready-dev ## The tests that need no board and no sshd (under 2 minutes)
	$(PYTEST) tests -W error -p no:cacheprovider -m "not board and not system"

test-power: .venv/ready-dev ## Scripted power on the kernel's own sensor drivers: known joules (7 to 15 minutes)
	$(PYTEST) tests/power -W error -p no:cacheprovider -m power

lint: .venv/ready-dev ## ruff, mypy --strict and the layer contracts
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports --no-logo

BENCH ?= latency_overhead
bench: .venv/ready-dev ## Against peers, as ratios; BENCH=smallest_change (an hour), exactness (20 minutes), host_gate (4)
	$(BIN)/python benchmarks/$(BENCH).py

clean: ## Remove what make made here (the cache of board images: `fleetgate image clean`)
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis reports/runs reports/latest.html

.venv/ready: pyproject.toml .ci/system-packages
	@test -n "$(PYTHON)" || { echo "Fleetgate needs Python >= 3.11 (python3 is older or missing)"; exit 1; }
	@bash .ci/system-packages
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing Fleetgate into .venv"
	@$(BIN)/python -m pip install --quiet --upgrade pip 2>/dev/null || true
	@$(BIN)/python -m pip install --quiet --editable '.[graph]'
	@touch $@

.venv/ready-dev: .venv/ready
	@bash .ci/system-packages --tests
	@echo "installing the tools of the tests into .venv"
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --editable '.[graph]' --group dev
	@touch $@

.PHONY: help setup demo demo-nogo test test-fast test-power lint bench clean
