# `make mnist` and `make test` do all the set-up themselves; see README.md.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.genlab-installed
PROJECTS := .[dev,docs] plugins/genlab-flows plugins/genlab-mnist plugins/genlab-optuna plugins/genlab-tiny
BENCH := .bench
MACHINE ?= local

.PHONY: help setup mnist test lint format docs bench-peers clean

help:
	@echo "make mnist    train the reference model on MNIST"
	@echo "make test     run the whole test suite"
	@echo "make lint     ruff and mypy"
	@echo "make format   let ruff rewrite the sources"
	@echo "make docs     build the documentation into docs/_build/html"
	@echo "make bench-peers MACHINE=name  time the reference model in genlab and its peers, renew README's table: over an hour"
	@echo "make clean    remove $(VENV), $(BENCH), built pages and caches"

setup: $(STAMP)

# pip reads constraints.txt: one tested set of versions. Without it the newest of everything is taken.
$(STAMP): pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml)
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else \
	  "genlab needs Python 3.11 or newer, and $(PYTHON) is %d.%d; try: make PYTHON=python3.12" % v[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	  $(foreach project,$(PROJECTS),--editable $(project))
	@touch $@

mnist: setup
	$(BIN)/genlab run recipes/mnist_cvae.yaml $(ARGS)

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Warnings are errors, references that lead nowhere too. Nothing is fetched.
docs: setup
	$(BIN)/sphinx-build --builder html --fail-on-warning --keep-going --nitpicky --quiet --jobs auto \
	  --doctree-dir docs/_build/doctrees docs docs/_build/html
	@echo "docs/_build/html/index.html"

# Each peer has an environment of its own. ARGS='--rounds 3 -o FILE' for another measurement or file.
bench-peers: setup $(foreach peer,keras-tf keras-jax pythae lightning,$(BENCH)/$(peer)/.installed)
	$(BIN)/python benchmarks/compare.py \
	  --with genlab=$(BIN)/python \
	  --with keras_tf=$(BENCH)/keras-tf/bin/python \
	  --with keras_jax=$(BENCH)/keras-jax/bin/python \
	  --with lightning=$(BENCH)/lightning/bin/python \
	  --with pythae=$(BENCH)/pythae/bin/python \
	  --with plain_torch=$(BIN)/python \
	  --with plain_torch_loader=$(BIN)/python \
	  -o benchmarks/results/peers-$(MACHINE).json $(ARGS)
	$(BIN)/python benchmarks/table.py

$(BENCH)/%/.installed: benchmarks/peers/requirements-%.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

clean:
	rm -rf $(VENV) $(BENCH) docs/_build .pytest_cache .mypy_cache .ruff_cache
