# Everything a checkout needs. `make help` lists the targets; each sets up by itself what it uses.
# Nothing must be installed before, except Python (3.12, 3.13 or 3.14) and make.

SHELL := /bin/sh
.DEFAULT_GOAL := setup

PYTHON := .venv/bin/python
# Where the checkout appears as a collection.
COLLECTION := .venv/collections/ansible_collections/ops/runbooks
# Packages that must pass the type checker.
TYPED := -p ansible_collections.ops.runbooks.plugins -p sandbox -p harness -p roundtrip -p bench

# Tools are called by their names.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- Tool chain: instant when nothing changed -------------------------------------------------------------

.PHONY: setup venv venv-s3 venv-floor venv-postgres15
setup: ## Install the tool chain (.venv), the sandbox and what the tests need
	@$(MAKE) --no-print-directory --jobs 4 venv venv-s3 venv-floor venv-postgres15

venv:
	@requirements/install .venv dev 3.13 3.12 3.14
	@mkdir -p $(dir $(COLLECTION)) && ln -sfn $(CURDIR) $(COLLECTION)

venv-s3:
	@requirements/install .venv-s3 s3 3.12 3.13 3.14

# The oldest ansible-core that is supported, on the oldest Python that it supports.
venv-floor:
	@requirements/install .venv-floor floor 3.11 3.12 3.13
	@mkdir -p .venv-floor/collections/ansible_collections/ops
	@ln -sfn $(CURDIR) .venv-floor/collections/ansible_collections/ops/runbooks

venv-postgres15:
	@requirements/install .venv-postgres15 postgres15 3.13 3.12 3.14

# --- Sandbox ----------------------------------------------------------------------------------------------

.PHONY: sandbox-up sandbox-down sandbox-status demo
sandbox-up: venv venv-s3 ## Start PostgreSQL, an S3 server and stand-ins for Vercel and GitHub on this machine
	@$(PYTHON) -m sandbox up

sandbox-down: venv ## Stop them; all but the S3 objects stays in .sandbox
	@$(PYTHON) -m sandbox down

sandbox-status: venv ## Show what runs, and where
	@$(PYTHON) -m sandbox status

demo: venv venv-s3 ## Back up, destroy and restore a real database in the sandbox, and show the proof
	@$(PYTHON) -m sandbox.demo

# --- Checks -----------------------------------------------------------------------------------------------

.PHONY: check lint types unit ansible-lint test
check: venv ## Everything quick: about two minutes
	@$(MAKE) --no-print-directory --jobs 2 ansible-lint lint types unit

lint: venv
	ruff check .
	ruff format --check .

types: venv
	mypy $(TYPED)

unit: venv
	python -m pytest tests/unit --quiet --numprocesses 3 --dist loadfile

ansible-lint: venv
	tests/harness/bin/ansible-lint

test: setup check ## Everything: checks, sanity, integration, molecule and system tests
	@PYTHONPATH=tests $(PYTHON) -m harness.stages molecule,floor sanity,integration system

.PHONY: bench
bench: venv venv-s3 ## Measure speed and memory beside other ways, in half an hour; options by BENCH="--help"
	@$(PYTHON) -m bench $(BENCH)

.PHONY: requirements
requirements: venv ## Resolve requirements/*.in anew (needs uv)
	@for name in dev:3.12 floor:3.11 s3:3.12 postgres15:3.12 bench:3.12; do \
		uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --python-version $${name#*:} \
			requirements/$${name%:*}.in --output-file requirements/$${name%:*}.txt || exit; \
	done

.PHONY: clean
clean: ## Stop the sandbox and remove everything that make made
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m sandbox down; fi
	rm -rf .venv* .sandbox* .mypy_cache .pytest_cache .ruff_cache .hypothesis build tests/output
