# The project's commands. `make run` and `make test` need a Rust toolchain, gcc, python3 and the package registries;
# they find or fetch CPython 3.14, build cendre in release mode into .venv, and redo nothing that is done.

SHELL := /bin/bash
PYTHON := .venv/bin/python
# The same settings as maturin's, so that cargo and maturin share what they compile; the C probe of CPython's structs
# wants the interpreter that the environment was made from.
CARGO_ENV = PYO3_PYTHON=$(CURDIR)/$(PYTHON) PYO3_ENVIRONMENT_SIGNATURE=cpython-3.14-64bit \
            CENDRE_PYTHON=$$(cat .cache/interpreter)
# PYTEST_ARGS="-k name" and the like.
PYTEST_ARGS ?=
# --modes warm --jobs 1 test_dict and the like: see tests/cpython --help.
CPYTHON_ARGS ?=
# --configs exact anyio and the like: see tests/frameworks --help.
FRAMEWORKS_ARGS ?=
FUZZ_ARGS ?=
SOAK_ARGS ?=
# Names of benchmarks, --repeat 5 and the like: see cendre bench suite --help.
SUITE_ARGS ?=

.PHONY: help run test test-rust test-python test-long test-cpython test-frameworks fuzz soak setup lint bench bench-suite clean

help:
	@echo "make run          build cendre and run the examples, on plain CPython and under cendre"
	@echo "make test         all tests (make test-rust, make test-python: one half)"
	@echo "make fuzz         random programs against plain CPython, until stopped (FUZZ_ARGS=\"--seconds 600\")"
	@echo "make soak         ten minutes of a web service with guards that are made to fail, every answer checked (SOAK_ARGS=\"--policy off --seconds 60\")"
	@echo "make test-long    what takes too long for make test"
	@echo "make test-cpython  CPython's own test suite in all modes, compared test by test (hours; goes on where it stopped)"
	@echo "make test-frameworks  the test suites of trio, anyio and aiohttp under cendre, compared in the same way (goes on where it stopped)"
	@echo "make bench        the benchmarks against plain CPython"
	@echo "make bench-suite  all of pyperformance against plain CPython (SUITE_ARGS=\"richards 'async_*' --clock cpu\")"
	@echo "make lint         clippy and rustfmt"
	@echo "make setup        only find Python, make .venv and build"
	@echo "make clean        remove .venv, .python, .cache and target"

setup:
	@python3 scripts/setup.py

run: setup
	@$(PYTHON) scripts/main_job.py

test: test-rust test-python

# The crate `cendre` is the extension module itself: nothing to link a test with, and Python tests it.
test-rust: setup
	# An example is the extension module that some tests load. No documentation tests: what is indented there is no Rust.
	$(CARGO_ENV) cargo build --release --workspace --exclude cendre --examples
	$(CARGO_ENV) cargo test --release --workspace --exclude cendre --lib --tests

test-python: setup
	$(PYTHON) -m pytest -q -n logical --dist loadgroup $(PYTEST_ARGS)

fuzz: setup
	$(PYTHON) tests/smith/fuzz.py $(FUZZ_ARGS)

soak: setup
	$(PYTHON) tests/soak $(SOAK_ARGS)

test-long: setup
	$(PYTHON) -m pytest -q -m long $(PYTEST_ARGS)

test-cpython: setup
	$(PYTHON) tests/cpython $(CPYTHON_ARGS)

test-frameworks: setup
	$(PYTHON) tests/frameworks $(FRAMEWORKS_ARGS)

lint: setup
	$(CARGO_ENV) cargo clippy --release --workspace --all-targets -- -D warnings
	cargo fmt --all --check

bench: setup
	.venv/bin/cendre bench

bench-suite: setup .cache/suite/installed
	PYTHONPATH=.cache/suite .venv/bin/cendre bench suite $(SUITE_ARGS)

.cache/suite/installed: requirements-suite.txt
	rm -rf .cache/suite
	$(PYTHON) -m pip install --quiet --target .cache/suite -r requirements-suite.txt
	touch $@

clean:
	rm -rf .venv .python .cache target python/cendre/*.so
