# fasgen. Every target makes what it needs; `make help` lists them.

PYTHON ?= python3
# A package index for torch alone, for example https://download.pytorch.org/whl/cpu where the default index would bring CUDA
# libraries to a machine without a GPU. Empty: the machine's usual index.
TORCH_INDEX ?=
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help run test format lint types bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "fasgen needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing fasgen and its dependencies into $(VENV) (once, some minutes)"
	# torch comes first and alone: which build it is (CPU or CUDA) has to be settled before a dependency can ask for another one.
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	$(PIP) -e '.[dev]'
	@touch $@

run: $(READY) ## run the whole pipeline on the example portraits
	$(BIN)/fasgen run --config examples/fasgen.yaml

test: lint types ## ruff, mypy and the tests
	$(BIN)/python -m pytest -n $(JOBS)

format: $(READY) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(READY) ## check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## check types
	$(BIN)/mypy

bench: $(READY) ## measure fasgen beside its peers
	$(BIN)/python -m bench

clean: ## remove what run and test wrote (not the environment)
	rm -rf out .pytest_cache .mypy_cache .ruff_cache .hypothesis
