# Everything happens in .venv; nothing of the system is changed. Needs a Python 3.11 or later, found by itself or given:
#   make run PYTHON=/path/to/python3.12
#
# One stamp per set of requirements: installed anew only when pyproject.toml changed (a new version of ombdriver itself
# needs nothing: it is installed in place).

# A run of the tests starts hundreds of processes, and each would compile the package anew: bytecode is written, whatever
# the environment says.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := run
.PHONY: run demo picture test test-live test-unit test-alone test-pythons audit container-test cluster-test lint types docs docs-outputs docs-serve wheel check-wheel bench instructions width soak faults trust chaos \
  study-omb study-claims clean

VENV := .venv
BIN := $(VENV)/bin
CANDIDATES := python3.14 python3.13 python3.12 python3.11 python3
# The first that is new enough and really starts; a version manager's shim may exist for a version that does not.
NEW_ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in $(CANDIDATES); do "$$p" -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && echo "$$p" && break; done)

# A .venv whose Python has gone (upgraded away) is made anew, so what was installed in it no longer counts.
$(shell test -x $(BIN)/python || rm -f $(VENV)/.installed $(VENV)/.installed-dev)

run: $(VENV)/.installed
	@echo "$(BIN)/ombdriver run 1kb-3groups"
	@$(BIN)/ombdriver run 1kb-3groups || { code=$$?; [ $$code -ne 3 ] || \
	  echo "Exit code 3: the run went through, and its verdict is not VALID; the table above says why, and what would help." >&2; exit $$code; }

# Three ways of persistence, held against each other: 30 runs taking turns, in some 10 minutes, and a page of them.
DEMO := results/demo-$(shell date -u +%Y%m%dT%H%M%SZ)
DEMO_SETUPS := valkey-no-persistence valkey-aof-everysec valkey-aof-always

demo: $(VENV)/.installed
	$(BIN)/ombdriver run 1kb-3groups $(DEMO_SETUPS:%=--setup %) --repeats 10 --duration 14s --warmup 3s \
	  --output $(DEMO) $(DEMO_ARGS); code=$$?; \
	  $(BIN)/ombdriver report $(DEMO) -o $(DEMO).html && exit $$code

# A section of a page (comparison, load or sweep), as the documentation shows it: make picture PAGE=results/demo-….html
SECTION := comparison

picture: $(VENV)/.installed-dev
	$(BIN)/python -m tests.picture $(PAGE) $(SECTION) docs/$(SECTION).png

# Tests on servers wait most of their time, so more of them run side by side than there are processors. Unit tests
# compute, and have what these leave (nice). Runs with faults (`faults`) come after both: what is said of them depends on
# the time that a server takes to come back. What is marked `alone` has the machine to itself, after all others. Within
# each part the next process that is free takes the next test (`tests/order.py`). With PYTEST_ARGS it is one process,
# which runs what they name.

# With SEED=NUMBER, properties try the examples that they tried with that number before.
PYTEST := $(BIN)/python -m pytest $(if $(SEED),--hypothesis-seed=$(SEED))
SIDE_BY_SIDE := --dist loadgroup --numprocesses
# Of tests that have no limit of their own: a process that is one of many has to wait for a processor.
PATIENT := --timeout 120

test: $(VENV)/.installed-dev
ifdef PYTEST_ARGS
	$(PYTEST) $(PYTEST_ARGS)
else
	$(MAKE) --keep-going --jobs 2 test-live test-unit
	$(MAKE) test-faults
	$(MAKE) test-alone
endif

test-live: $(VENV)/.installed-dev
	$(PYTEST) $(SIDE_BY_SIDE) 4 $(PATIENT) -m 'not alone and not faults' tests/live

# What it says comes in one piece, since other tests say something meanwhile.
test-unit: $(VENV)/.installed-dev
	@mkdir -p build
	nice -n 19 $(PYTEST) $(SIDE_BY_SIDE) 2 $(PATIENT) tests/unit tests/public >build/$@.log 2>&1; code=$$?; \
	  cat build/$@.log; exit $$code

test-faults: $(VENV)/.installed-dev
	$(PYTEST) $(SIDE_BY_SIDE) 3 $(PATIENT) -m 'faults and not alone' tests/live

test-alone: $(VENV)/.installed-dev
	$(PYTEST) -m alone tests/live

# All tests on each Python that is supported and found here, each in an environment of its own; one of them, or some
# tests: make test-pythons PYTHONS=3.13 PYTEST_ARGS=tests/unit
PYTHONS ?= 3.11 3.12 3.13
# On the PATH, and where pyenv keeps them: a shim of it is found on the PATH for each version, and starts few.
PYENV_VERSIONS := $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions

test-pythons:
	@tested=; for version in $(PYTHONS); do \
	  for python in "python$$version" $(PYENV_VERSIONS)/$$version.*/bin/python; do \
	    "$$python" -c '$(NEW_ENOUGH)' >/dev/null 2>&1 || continue; \
	    echo "== Python $$version: $$python"; \
	    $(MAKE) test VENV=build/python$$version PYTHON="$$python" || exit; \
	    tested="$$tested $$version"; continue 2; \
	  done; \
	  echo "== Python $$version: not found, left out"; \
	done; \
	echo "tested on:$${tested:- none}"; [ -n "$$tested" ]

# Whether a vulnerability is known of a package that ombdriver requires, or is developed with; it asks PyPI, so it is no
# part of CI.
audit: $(VENV)/.installed-dev
	mkdir -p build
	$(BIN)/python -m pip freeze --exclude-editable --exclude ombdriver > build/requirements.txt
	$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement build/requirements.txt

# The steps of the Containerfile in a root of their own, where there is nothing to build it with; as root on Linux.
container-test: $(VENV)/.installed-dev
	$(BIN)/python -m tests.container

# Three hosts in network and time namespaces of this machine, with a real scheduler of Dask; as root on Linux.
cluster-test: $(VENV)/.installed-dev
	$(PYTEST) tests/cluster -m 'not own_network'
	$(PYTEST) tests/cluster -m own_network

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

# The documentation as a site, in build/site. Nothing is fetched, and whatever is wrong with a page (a link, an anchor, a
# page that no other leads to) is an error.
docs: $(VENV)/.installed-dev
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --jobs auto -c docs . build/site
	@echo "build/site/index.html"

PORT ?= 8000
docs-serve: docs
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory build/site $(PORT)

# The console blocks of README and docs, by their commands; all of them in half an hour of a machine that does nothing
# else, or one: make docs-outputs DOCS_OUTPUTS_ARGS='--only several-runs' (--list names them)
docs-outputs: $(VENV)/.installed-dev
	$(BIN)/python -m tests.docs_outputs $(DOCS_OUTPUTS_ARGS)

# sdist and wheel, in dist/; the wheel is built from the sdist.
wheel: $(VENV)/.installed-dev
	rm -rf dist
	$(BIN)/python -m build --no-isolation

# Both are well-formed, and the sdist is whole: its unit tests pass where it was unpacked.
check-wheel: wheel
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	rm -rf build/sdist && mkdir -p build/sdist
	tar -xzf dist/*.tar.gz -C build/sdist --strip-components 1
	cd build/sdist && $(CURDIR)/$(PYTEST) $(SIDE_BY_SIDE) 4 tests/unit

bench: $(VENV)/.installed-dev
	$(BIN)/python -m tests.benchmarks $(BENCH_ARGS)
	$(BIN)/python -m tests.benchmarks.coordinator
	$(BIN)/python -m tests.benchmarks.through_dask

# Instructions per message of the library, of two revisions, where clocks are too noisy to compare times; takes valgrind
# and some 15 minutes: make instructions AGAINST=main
AGAINST ?= HEAD
instructions: $(VENV)/.installed-dev
	$(BIN)/python -m tests.benchmarks.instructions $(AGAINST) $(INSTRUCTIONS_ARGS)

# The widest shapes: ten thousand topics or partitions, a hundred consumers; about 3 minutes. Into a page that has a place
# for the table: make width WIDTH_ARGS='--page PAGE'
width: $(VENV)/.installed-dev
	$(BIN)/python -m tests.benchmarks.width $(WIDTH_ARGS)

# An hour, then 200 courses of combined faults; shorter ones: make soak SOAK_SECONDS=60 SOAK_SEEDS=20
SOAK_SECONDS ?= 3600
SOAK_SEEDS ?= 200
soak: $(VENV)/.installed-dev
	$(BIN)/python -m tests.soak --seconds $(SOAK_SECONDS) $(SOAK_ARGS)
	$(BIN)/python -m tests.faults --seeds $(SOAK_SEEDS)

# Courses of combined faults alone; one of them, as a failure names it: make faults FAULT_ARGS='--seed 7'
faults: $(VENV)/.installed-dev
	$(BIN)/python -m tests.faults --seeds $(SOAK_SEEDS) $(FAULT_ARGS)

# How often the verdict is right, about runs to which something known is done; half an hour, on a machine that does
# nothing else. For the tables of the documentation:
#   make trust TRUST_ARGS="--page docs/explanation/trust.md --short-page README.md"
trust: $(VENV)/.installed-dev
	$(BIN)/python -m tests.trust $(TRUST_ARGS)

# What setups lose when the primary dies, and for how long they are away; some 15 minutes, then the table of its page is
# made anew. Other faults, setups or repeats, and no page: make chaos CHAOS_ARGS='--fault hang --repeats 10'
CHAOS_ARGS ?= --fault kill --repeats 5 --page docs/faults.md
CHAOS_SETUPS ?= valkey-no-persistence valkey-aof-everysec valkey-aof-always valkey-replicated-wait valkey-sentinel \
  valkey-cluster-3x2
chaos: $(VENV)/.installed-dev
	$(BIN)/python -m tests.chaos 1kb-low-rate $(CHAOS_SETUPS:%=--setup %) --rate 1000 --warmup 3s --duration 20s --plain \
	  $(CHAOS_ARGS)

# What OMB's own Redis driver reports, beside ombdriver; some nine minutes of a quiet machine, and the tables of its page.
# OMB is a checkout of it that was built as its README says; without it the tables are made of the figures that there are.
study-omb: $(VENV)/.installed-dev
	$(BIN)/python -m tests.studies.omb $(if $(OMB),--omb $(OMB))

# What is said of Redis Streams, measured; some ten minutes of a quiet machine, and the text of its page. One claim, or
# the page alone: make study-claims CLAIMS_ARGS='--only pending' (or --render)
study-claims: $(VENV)/.installed-dev
	$(BIN)/python -m tests.studies.claims $(CLAIMS_ARGS)

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ] || ! "$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null; then \
	  echo "ombdriver needs Python 3.11 or later, with its venv and ensurepip modules; '$(or $(PYTHON),none of $(CANDIDATES))' has not." >&2; \
	  echo "Install one, or name it: make PYTHON=/path/to/python3.12" >&2; \
	  exit 1; \
	fi
	"$(PYTHON)" -m venv --clear $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

# The extra dev holds the extra bench, so this one does for both.
$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find ombdriver tests -name __pycache__ -type d -prune -exec rm -rf {} +
