# Set-up is automatic: the first target that needs .venv builds it.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: verify test test-fast test-deep test-gpu test-kills test-runs lint bench bench-runs coverage truth mutants kernels-jax lock docs docs-experiments figures clean

verify: .venv/ready
	$(BIN)/ntkalign verify

test: .venv/ready lint
	$(BIN)/pytest -n 2 --dist worksteal

# The loop after each edit: all but the slow tests (tests/slow.py), on two generated networks each;
# ends with the slowest of them.
test-fast: .venv/ready
	HYPOTHESIS_PROFILE=fast $(BIN)/pytest -n 2 --dist worksteal -m "not gpu and not slow" --durations 5

# Generated networks at random, ten times as many in the costly tests; takes long.
test-deep: .venv/ready
	HYPOTHESIS_PROFILE=deep $(BIN)/pytest -n 2 --dist worksteal

# A GPU against the CPU; skips where JAX has no GPU (pip install 'ntkalign[gpu]').
test-gpu: .venv/ready
	$(BIN)/pytest -m gpu tests/test_gpu.py

# Commands killed and stopped at random moments, which go on and must lose nothing; 25 minutes.
test-kills: .venv/ready
	$(BIN)/python -m tests.kills verify --made-up --kills 50
	$(BIN)/python -m tests.kills verify --kills 10
	$(BIN)/python -m tests.kills experiment --kills 8
	$(BIN)/python -m tests.kills stop --made-up --kills 20

# Bad input at random, 500 networks in one process, the same networks on one core and on all.
test-runs: .venv/ready
	$(BIN)/python -m tests.fuzz --cases 1000
	$(BIN)/python -m tests.creep --networks 500
	$(BIN)/python -m tests.cores --widths 64,256

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/cffconvert --validate

.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# Every table of benchmarks/README.md, by the command above it; three quarters of an hour.
bench: .venv/ready
	$(BIN)/python benchmarks/record.py

# Plant faults in the mathematics one at a time: the tests must catch every one.
mutants: .venv/ready
	$(BIN)/python -m tests.mutants

# How often intervals cover and verdicts err; two minutes.
coverage: .venv/ready
	$(BIN)/python benchmarks/coverage.py
	$(BIN)/python benchmarks/coverage.py --drift

# What runs took beside what they were estimated to take, and a sweep on 1, 2 and 4 workers.
bench-runs: .venv/ready
	$(BIN)/python benchmarks/estimates.py
	$(BIN)/python benchmarks/workers.py

truth: .venv/ready
	$(BIN)/python benchmarks/truth.py measure --out truth
	$(BIN)/python benchmarks/truth.py judge --out truth

# Kernels and neural-tangents on the oldest, the pinned and the newest JAX, each in an environment
# of its own under build/; a few minutes and 2 GB.
kernels-jax: .venv/ready
	$(BIN)/python -m tests.jax_versions

# Pin every dependency with its hashes; records no address it was downloaded from.
lock: .venv/ready
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra docs --universal --python-version 3.11 \
		--fork-strategy fewest --generate-hashes --no-header --no-annotate --upgrade --quiet --output-file requirements.txt

# The site, in build/docs, and the examples of its pages; warnings are errors. Notebooks run in
# their short form (`make docs NTKALIGN_SHORT=` takes the long one).
NTKALIGN_SHORT ?= 1
SPHINX := $(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -c docs
docs: .venv/ready
	NTKALIGN_SHORT=$(NTKALIGN_SHORT) $(SPHINX) -b html -d build/doctrees . build/docs
	NTKALIGN_NOTEBOOKS=off $(SPHINX) -b doctest -d build/doctests . build/doctest

# The reference figures again, each by the command beside it; says what changed. Most of an hour.
figures: .venv/ready
	$(BIN)/python figures/make.py

# What is made of the pages of experiments: from declarations, and from the runs in figures/.
docs-experiments: .venv/ready
	$(BIN)/python docs/experiments/make.py

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .hypothesis .jax_cache figures/latest
