# `make demo` and `make test` are each enough on a bare Debian or Ubuntu with Python 3.11+, git and make.
# What they set up stays: .venv (.venv-exports after `make test-exports`), the sandbox image, strace, for tests Chromium,
# and a Docker engine where none answered (it goes on).

PYTHON ?= python3
PYTEST_FLAGS ?=
REDTEAM_FLAGS ?=
BIN = .venv/bin
# Whoever starts make in the background of a script has told it to ignore SIGINT, which every child would inherit: then
# nothing that is tested ends at Ctrl-C.
INTERRUPTIBLE = env --default-signal=INT
# RSI_SKIP_DOCKER=1 leaves out the tests that need a container engine; pytest's last line counts them as deselected.
NOT_LONG = not long$(if $(RSI_SKIP_DOCKER), and not docker)
LONG = long$(if $(RSI_SKIP_DOCKER), and not docker)

.PHONY: help setup setup-for-tests demo test test-exports test-long redteam lint format lock

help: ## These lines
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 20

setup: ## The virtual environment, a container engine, the sandbox image, strace
	@$(PYTHON) tools/setup.py

setup-for-tests:
	@$(PYTHON) tools/setup.py --for-tests --engine-required

demo: setup ## Watch a small language model's training code get better
	@tools/demo

test: setup-for-tests lint ## Linters, types, import rules, and every test but the long ones
	@$(INTERRUPTIBLE) $(BIN)/pytest -n 2 -m "$(NOT_LONG)" $(PYTEST_FLAGS)

test-exports: ## Read every export back with the other tools' own libraries, in an environment that has them
	@$(PYTHON) tools/setup.py --exports
	@RSI_TEST_EXPORTS=1 $(INTERRUPTIBLE) .venv-exports/bin/pytest -n 2 tests/exports $(PYTEST_FLAGS)

test-long: setup-for-tests ## The tests that take minutes
	@$(INTERRUPTIBLE) $(BIN)/pytest -m "$(LONG)" --timeout 1800 $(PYTEST_FLAGS)

redteam: setup-for-tests ## Attack the score in every way of the corpus, and see that honest edits pass
	@$(BIN)/rsi redteam $(REDTEAM_FLAGS)

lint:
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: ## Put the code into its one form
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

lock: ## Pin every dependency again
	@tools/lock
