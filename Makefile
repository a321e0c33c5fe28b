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

# Peers of the benchmarks live in an environment of their own: some want libraries that fasgen does not.
BENCHES ?=
BENCH_VENV := .venv-bench
BENCH_PIP := $(BENCH_VENV)/bin/python -m pip install --disable-pip-version-check --quiet
PEERS := $(BENCH_VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help run browser loaders test format lint types bounds bench soak fuzz papers cluster clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt tests/references.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "fasgen needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing fasgen and its dependencies into $(VENV) (once, some minutes)"
	# torch comes first and alone: which build it is (CPU or CUDA) has to be settled before a dependency can ask for another one.
	# What torch needs comes with the rest, from the usual index, which has every version that is pinned.
	$(PIP) $(if $(TORCH_INDEX),--no-deps --index-url $(TORCH_INDEX)) -c constraints.txt torch
	$(PIP) -c constraints.txt -e '.[dev]'
	$(PIP) --no-deps -r tests/references.txt
	@touch $@

run: $(READY) ## run the whole pipeline on the example portraits
	$(BIN)/fasgen run --config examples/fasgen.yaml

# Where there is none to be had (no Debian, no network) the tests of pages are skipped, by name.
browser: ## Debian's Chromium for the tests of pages, into .browser: without root
	@command -v chromium > /dev/null || test -x .browser/chromium || timeout 180 tests/chromium.sh .browser \
	  || echo "no Chromium could be had: the tests of pages are skipped"

# They bring pandas and more, so they have an environment of their own; where they cannot be had, their tests are skipped, by name.
loaders: ## loaders of others (datasets, mlcroissant) for the tests that open shards with them, into .venv-loaders
	@test -e .venv-loaders/.ready || ( $(PYTHON) -m venv .venv-loaders \
	  && .venv-loaders/bin/python -m pip install --disable-pip-version-check --quiet -r tests/loaders.txt \
	  && touch .venv-loaders/.ready ) || echo "no loaders could be had: the tests with them are skipped"

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

# LEGS: lowest, newest or both. PYTHONS: interpreters; else all of 3.11 to 3.13 that are found. BOUNDS: further options of
# tests/bounds.py, for example '--artefact sdist' or '--torch 2.13.0'.
LEGS ?=
PYTHONS ?=
BOUNDS ?=
bounds: $(READY) ## install the lowest and the newest dependencies in empty environments, from a wheel; run and test
	$(BIN)/python -m tests.bounds $(LEGS) $(foreach python,$(PYTHONS),--python $(python)) \
	  $(if $(TORCH_INDEX),--torch-index $(TORCH_INDEX)) $(BOUNDS)

# Without peers (no network, say) the benchmarks still run; their table says which peers are missing.
$(PEERS): bench/requirements.txt
	@echo "installing the peers that fasgen is measured beside into $(BENCH_VENV) (once, some minutes)"
	@( test -x $(BENCH_VENV)/bin/python || $(PYTHON) -m venv $(BENCH_VENV) ) \
	  && $(BENCH_PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0 \
	  && $(BENCH_PIP) numpy scipy scikit-image requests tqdm pillow \
	  && $(BENCH_PIP) --no-deps -r bench/requirements.txt \
	  && touch $@ || echo "some peers could not be installed; going on without them"

bench: $(READY) $(PEERS) ## measure fasgen beside its peers, or some: make bench BENCHES='packing align'
	FASGEN_BENCH_PYTHON=$(BENCH_VENV)/bin/python $(BIN)/python -m bench $(BENCHES)

KILLS ?= 40
soak: $(READY) ## kill driver, workers and Ray's node process of a run at 40 random moments; it must end byte-identical
	$(BIN)/python -m tests.soak --kills $(KILLS)

MUTATIONS ?= 2000
fuzz: $(READY) ## mutated pictures, films, configurations, stores, models and shards
	$(BIN)/python -m tests.fuzz --count $(MUTATIONS)

TABLES ?=
papers: $(READY) ## all files of examples/papers from end to end on miniatures of the data sets, or some: TABLES='stdn-siw lgsc-oulu'
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.chains.every $(TABLES)

CASES ?=
cluster: $(READY) ## three Ray nodes in network namespaces (needs root) and all that can happen to them, or some: CASES='killed joined'
	$(BIN)/python -m tests.cluster $(foreach case,$(CASES),--only $(case)) stage=align,identify,defake

clean: ## remove what run and test wrote (not the environment)
	rm -rf out .pytest_cache .mypy_cache .ruff_cache .hypothesis
