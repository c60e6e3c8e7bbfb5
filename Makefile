# Every target sets up all it needs: a virtual environment, pinned packages, the native build.
# Needed beforehand: Python 3.11 or newer, a C++17 compiler, make.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
NATIVE := pyproject.toml CMakeLists.txt $(shell find csrc -name '*.[ch]pp' -o -name '*.h')

# A CPU-only torch is a tenth of the size: make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check

# Modules of Node that the tests run exported files with.
NODE_MODULES := onnxruntime-web@1.30.0
NODE_PREFIX  := build/node
export NODE_PATH := $(CURDIR)/$(NODE_PREFIX)/node_modules

export PATH := $(CURDIR)/$(BIN):$(PATH)
ifndef BIMETAL_DATA
ifneq ($(wildcard ../shared/data/.),)
export BIMETAL_DATA := $(abspath ../shared/data)
endif
endif

.PHONY: help setup demo test check format bench sanitize neon tools clean

help:
	@echo "make demo      train a credit model on real data, turn it into bits, score it, report"
	@echo "make test      all tests, Python and C++"
	@echo "make check     format, lint, types, import floors"
	@echo "make format    put the code into the house's format"
	@echo "make bench     every claim of the README, measured (QUICK= for the full length)"
	@echo "make sanitize  the C++ tests under the address and undefined-behaviour sanitizers"
	@echo "make neon      the C++ tests for 64-bit ARM, under emulation"
	@echo "make tools     compilers, emulators and databases that run what export writes (Debian, npm; as root)"
	@echo "make clean     remove everything that make made"

setup: $(VENV)/.native

$(VENV)/.packages: requirements/dev.txt requirements/runtime.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "bimetal needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -r requirements/dev.txt
	@touch $@

$(VENV)/.native: $(VENV)/.packages $(NATIVE)
	$(PIP) install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

demo: setup
	$(BIN)/bimetal demo

test: setup
	$(BIN)/pytest
	$(BIN)/cmake --preset native
	$(BIN)/cmake --build --preset native
	build/native/bimetal_test

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/clang-format --dry-run -Werror $$(find csrc -name '*.[ch]pp' -o -name '*.h')

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/clang-format -i $$(find csrc -name '*.[ch]pp' -o -name '*.h')

QUICK ?= --quick
bench: setup
	$(PIP) install --quiet -r requirements/bench.txt || echo "bench: some challengers cannot be installed here; they are skipped"
	@mkdir -p runs/bench
	@set -e; for script in $$(find benchmarks -name '[a-z]*.py' | sort); do \
	  echo "== $$script"; \
	  $(BIN)/python $$script $(QUICK) --json runs/bench/$$(basename $$script .py).json; \
	done

sanitize: setup
	$(BIN)/cmake --preset sanitize
	$(BIN)/cmake --build --preset sanitize
	build/sanitize/bimetal_test 60

# Debian: apt-get install g++-aarch64-linux-gnu qemu-user
neon: setup
	$(BIN)/cmake --preset neon
	$(BIN)/cmake --build --preset neon
	qemu-aarch64 build/neon/bimetal_test 60 neon

tools:
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
	  $$(sed 's/#.*//' requirements/debian.txt)
	npm install --silent --no-save --no-audit --no-fund --prefix $(NODE_PREFIX) $(NODE_MODULES)

clean:
	rm -rf $(VENV) build dist runs .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
