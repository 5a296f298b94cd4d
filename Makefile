# Needs Python 3.11 or newer and make, nothing else. Another Python: make test PYTHON=python3.12
# Some of the tests: make test ARGS="tests/language/test_language.py -k error"
#
#   make demo         find an optimizer: a search of a few minutes
#   make test         the tests: nine minutes
#   make bench        how fast it is, on this machine: tests/benchmarks/results.md
#   make chaos        break runs in every way the README promises to survive: an hour
#   make pins         all hash chains that must not change when code moves: two minutes
#   make tasks        the tests of tasks on all tasks, where the suite takes one of each domain: minutes
#   make slow         the tests that take too long for the suite: two minutes
#   make readme       run every command of the README as it stands there: half an hour
#   make soak         a million candidates: a quarter of an hour
#   make agreement    measure the known optimizers against their second opinions, and make the table of them
#   make optax-tests  run optax's own tests on exported optimizers
#   make references   tune the known optimizers again, on all suites
#   make references-check  tune AdamW again on all suites with four times the trainings: does it gain? An hour or more
#   make test-lowest  all tests with the oldest versions that pyproject.toml allows; best with PYTHON=python3.11
#   make lint         ruff, its format, and pyright: what must be clean before a change lands
#   make clean        remove what this file makes; runs/ stays

PYTHON ?= python3
ARGS =
TUNED = adamw,lion
TWO = -n 2 --dist loadfile --no-loadscope-reorder

# What belongs to another environment must not be mixed into ours.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

.NOTPARALLEL:
.PHONY: help demo test bench chaos tasks slow pins readme soak agreement optax-tests references references-check test-lowest lint clean

help:
	@sed -n 's/^#   //p' Makefile

demo: .venv/.demo
	@.venv/bin/evolve run quickstart

test: .venv/.test
	@.venv/bin/python -m pytest $(TWO) $(ARGS)

bench: .venv/.demo
	@.venv/bin/python tests/benchmarks/bench.py $(ARGS)

chaos: .venv/.test
	@.venv/bin/python tests/promises/chaos.py $(ARGS)

tasks: .venv/.test
	@TASKS=all .venv/bin/python -m pytest $(TWO) tests/tasks $(ARGS)

slow: .venv/.test
	@.venv/bin/python -m pytest -m slow $(ARGS)

pins: .venv/.test
	@PINS=all .venv/bin/python -m pytest tests/search/test_pins.py $(ARGS)

readme: .venv/.test
	@PYTHONPATH=tests .venv/bin/python tests/walk_readme.py

soak: .venv/.test
	@.venv/bin/python tests/promises/chaos.py long_runs

agreement: .venv/.test
	@PYTHONPATH=tests .venv/bin/python -c "import conftest; from opinions.measure import main; main('$(ARGS)'.split())"
	@.venv/bin/python -m baselines.catalogue > baselines/OPTIMIZERS.md

optax-tests: .venv/.test
	@.venv/bin/python tests/export/optax_own_tests.py

references: .venv/.demo
	@.venv/bin/evolve reference smoke quickstart practice --into evolve/references --workers 2 --optimizers $(TUNED)

references-check: .venv/.test
	@PYTHONPATH=tests .venv/bin/python tests/scoring/references_check.py --workers 2 $(ARGS)

test-lowest: .venv-lowest/.test
	@.venv-lowest/bin/python -m pytest $(TWO) $(ARGS)

lint: .venv/.lint
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/pyright

clean:
	@rm -rf .venv .venv-lowest build dist .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- environments -----------------------------------------------------------------------------------
# A stamp says that an environment holds what pyproject.toml asks for, so that the next make starts at once.

.venv/.demo: pyproject.toml constraints.txt
	$(call environment,.venv)
	$(call install,.venv,constraints.txt,.)
	@touch $@

.venv/.test: pyproject.toml constraints.txt
	$(call environment,.venv)
	$(call install,.venv,constraints.txt,'.[test]')
	@touch $@ .venv/.demo

.venv/.lint: pyproject.toml constraints.txt
	$(call environment,.venv)
	$(call install,.venv,constraints.txt,'.[dev]')
	@touch $@ .venv/.test .venv/.demo

.venv-lowest/.test: pyproject.toml constraints-lowest.txt
	$(call environment,.venv-lowest)
	$(call install,.venv-lowest,constraints-lowest.txt,'.[test]')
	@touch $@

# $(1): the folder. One that works is kept; a broken one, or one without pip, is made anew.
define environment
@$(1)/bin/python -m pip --version >/dev/null 2>&1 || { \
	$(PYTHON) -c '' >/dev/null 2>&1 || { echo "There is no $(PYTHON) here that starts: install Python 3.11 or newer," \
		"or say which one to use, as in: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is `$(PYTHON) -V 2>&1`," \
		"and Pride needs 3.11 or newer: install one and say so, as in: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) comes without venv or pip:" \
		"install them (on Debian and Ubuntu: the package python3-venv) or say which other Python to use," \
		"as in: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }; \
	echo "making $(1)"; \
	$(PYTHON) -m venv --clear $(1) && echo '*' > $(1)/.gitignore; }
endef

# $(1): the folder, $(2): the constraints, $(3): what to install. -qq: errors are shown, warnings are not.
define install
@echo "installing into $(1) (a minute or so)"
@$(1)/bin/python -m pip install -qq --no-input --disable-pip-version-check -c $(2) -e $(3)
endef
