# The verbs of this repository; `make help` lists them. They need Python 3.11+ and make, nothing else.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

SERVICE := $(VENV)/.service-installed
DEV     := $(VENV)/.dev-installed
PIP     := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.DEFAULT_GOAL := help

##@ Use

.PHONY: run
run: export HOLDFAST_WORKFLOWS ?= examples.trip_booking,examples.order_approval,examples.expense,examples.data_pipeline,examples.support_agent
run: export HOLDFAST_DEV_REPLAY ?= 1
run: export HOLDFAST_STORE ?= sqlite:///var/holdfast.db
run: export HOLDFAST_ADDRESS ?= 127.0.0.1:8000
run: $(SERVICE) ## start the service on 127.0.0.1:8000 with SQLite and the examples loaded
	@mkdir -p var
	@echo $$$$ > var/holdfast.pid; exec $(BIN)/holdfast serve

.PHONY: run-dapr
run-dapr: $(DEV) dapr-runtime ## start the service beside a Dapr sidecar with Redis, as `dapr run -f .` would
	@exec $(BIN)/python -m tools.run_dapr

##@ Develop

.PHONY: setup
setup: $(DEV) ## create .venv with everything for development

.PHONY: test
test: $(DEV) ## run all tests that need nothing but Python
	$(BIN)/pytest -n 2

.PHONY: check
check: $(DEV) ## lint, format, types, architecture and Dockerfile
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

.PHONY: format
format: $(DEV) ## rewrite the code in the house format
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

.PHONY: coverage
coverage: $(DEV) ## run the tests and show the branches they miss
	$(BIN)/pytest -n 2 --cov --cov-report=term-missing

.PHONY: chaos
chaos: $(DEV) store-servers ## kill processes at full count and check what survives
	$(BIN)/pytest -m chaos

.PHONY: chaos-dapr
chaos-dapr: $(DEV) dapr-runtime ## kill the service, its sidecar and Redis at full count, under load
	$(BIN)/pytest -m chaos_dapr -s

.PHONY: laws-full
laws-full: $(DEV) ## the replay laws at full count
	$(BIN)/pytest -n 2 -m laws_full

.PHONY: dapr-runtime
dapr-runtime: ## build daprd, placement and scheduler into a cache, once (needs Go)
	@tools/dapr-runtime/build

.PHONY: test-dapr
test-dapr: $(DEV) dapr-runtime ## run the tests beside a real sidecar, Redis and PostgreSQL
	$(BIN)/pytest -m integration

.PHONY: store-servers
store-servers: ## get nats-server and a Kafka broker into a cache, once (needs Go, Maven and Java 17)
	@tools/store-servers/build

.PHONY: test-stores
test-stores: $(DEV) store-servers ## run the tests of the stores on real servers of Kafka, NATS and Inngest's protocol
	$(BIN)/pytest -n 2 -m stores

.PHONY: bench
bench: $(DEV) ## measure the engine in memory and on SQLite
	$(BIN)/python -m bench.run --store memory
	$(BIN)/python -m bench.run --store sqlite

##@ Maintain

EXTRAS  := --extra service --extra dapr --extra kafka --extra nats --extra inngest --extra otel --extra tools
COMPILE := $(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --build-deps-for editable \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

.PHONY: lock
lock: export CUSTOM_COMPILE_COMMAND = make lock
lock: $(DEV) ## renew the hash-locked files in requirements/
	$(COMPILE) $(EXTRAS) --output-file requirements/service.txt pyproject.toml
	$(COMPILE) $(EXTRAS) --extra dev --constraint requirements/service.txt --output-file requirements/dev.txt pyproject.toml

.PHONY: clean
clean: ## remove .venv, caches and build products (never var/, where the runs are)
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.* htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## show this list
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The project itself is installed with the locked build backend: nothing is downloaded that has no hash.
INSTALL_PROJECT := $(PIP) --no-deps --no-build-isolation --no-index --editable .

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Holdfast needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(SERVICE): $(VENV)/.created requirements/service.txt pyproject.toml
	$(PIP) --require-hashes --requirement requirements/service.txt
	$(INSTALL_PROJECT)
	@touch $@

$(DEV): $(VENV)/.created requirements/dev.txt pyproject.toml
	$(PIP) --require-hashes --requirement requirements/dev.txt
	$(INSTALL_PROJECT)
	@touch $@ $(SERVICE)
