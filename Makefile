# The same verbs for people and for CI; plain `make` lists them.
# Further words go through ARGS (run, migrate, bench) and PYTEST_ARGS (test, test-kafka, …).

SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
UV := .tools/uv/bin/uv
ARGS ?=
PYTEST_ARGS ?=
IMAGE ?= channel-gateway
# Some machines forbid Python to keep what it compiled. Each role then compiles for three seconds
# at every start, and the tests start hundreds; what is kept stands beside the code, in our .venv.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install run test check lint types imports spelling dependencies lock contracts-drift \
	meta-errors-drift format contracts meta-errors migrate bench bench-send test-kafka test-faults test-long \
	test-browser test-container containers image sbom

help: ## List these verbs
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

install: ## Make the environment in .venv (brings its own tools; needs only python3 and make)
	@$(PYTHON) scripts/bootstrap.py

# Make passes Ctrl-C on by itself; the leash ends everything too when make is killed outright.
run: install ## Start the whole gateway with a sandbox and a demo conversation; Ctrl-C ends it
	@$(BIN)/python src/gateway/embedded/leash.py TERM parent - $(BIN)/gateway dev $(ARGS)

test: install ## Run all tests, with their own PostgreSQL and broker
	@$(BIN)/pytest --numprocesses 2 --dist loadgroup $(PYTEST_ARGS)

check: lint types imports spelling dependencies lock contracts-drift meta-errors-drift containers ## Check style, types, imports, spelling, lock, contracts and containers

lint: install ## Check style and formatting
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: install ## Check types
	@$(BIN)/mypy

imports: install ## Check who may import whom
	@$(BIN)/lint-imports

spelling: install
	@$(BIN)/typos

dependencies: install
	@$(BIN)/deptry src

# Compares the lock with pyproject.toml alone, so it needs no network.
lock: install
	@$(UV) lock --check --offline --quiet

contracts-drift: install
	@$(BIN)/python scripts/contracts.py --check

meta-errors-drift: install
	@$(BIN)/python scripts/meta_errors.py --check

containers: install ## Check the Dockerfile and the compose files
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml compose.three-brokers.yaml

format: install ## Format the code and mend what can be mended by itself
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

contracts: install ## Write openapi/*.yaml anew from the code
	@$(BIN)/python scripts/contracts.py

meta-errors: install ## Write docs/meta-errors.md anew from the table of Meta's errors
	@$(BIN)/python scripts/meta_errors.py

migrate: install ## Bring the database of DATABASE_URL to this release's schema
	@$(BIN)/gateway migrate $(ARGS)

bench: install ## Measure all, or the parts that ARGS names; docs/benchmarks.md says how
	@$(BIN)/python -m benchmarks $(ARGS)

bench-send: install ## Measure sending: its speed, beside targets that hang, and with a million to come
	@$(BIN)/python -m benchmarks sending hanging backlog
	@$(BIN)/python -m benchmarks report

test-kafka: install ## Run the tests that use a broker against Apache Kafka on three nodes (Java and Maven)
	@$(BIN)/python scripts/debian.py java:default-jre-headless mvn:maven
	@$(BIN)/pytest -m kafka --apache-kafka 3 $(PYTEST_ARGS)

test-faults: install ## Run the fault tests alone: kills and freezes under a running gateway
	@$(BIN)/pytest -m faults $(PYTEST_ARGS)

test-long: install ## Run the tests that tell the same story many more times
	@$(BIN)/pytest -m long $(PYTEST_ARGS)

test-browser: install ## Go through the pages for people with Chromium; pictures in build/browser
	@$(BIN)/python scripts/debian.py chromium:chromium
	@$(BIN)/pytest -m browser $(PYTEST_ARGS)

test-container: install ## Build the image's files without a container engine and run every role there (Linux, root)
	@$(BIN)/pytest -m container $(PYTEST_ARGS)

image: ## Build the container image
	docker build --build-arg REVISION=$$(git rev-parse HEAD) --tag $(IMAGE) .

sbom: install ## Write what the image is made of to build/sbom.cdx.json (CycloneDX)
	@mkdir -p build
	@$(UV) export --frozen --offline --quiet --preview-features sbom-export --format cyclonedx1.5 \
		--no-default-groups --output-file build/sbom.cdx.json
	@echo build/sbom.cdx.json
