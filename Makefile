# Every target sets itself up from a bare checkout: it makes .venv, installs from the pins, and goes.
# PYTHON chooses the interpreter (3.11 or newer). On Linux, TORCH_INDEX=https://download.pytorch.org/whl/cpu
# fetches the small CPU build of PyTorch instead of the one with CUDA.
PYTHON ?= python3
TORCH_INDEX ?=
PY := .venv/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt
TORCH = $(PIP) torch==2.13.0 $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))

.PHONY: help run test test-quick lint book lab bench clean
help:
	@echo "make run    train a GPT on real text (about 3 minutes) and write its report"
	@echo "make test   lint, types, import contract, tests, every chapter at tiny scale"
	@echo "make test-quick   lint, types, import contract, and the tests that train nothing"
	@echo "make book   execute the chapters that changed, build the site and the EPUB in book/_build; PART=2 for one part"
	@echo "make lab    open your own copy of the chapters in JupyterLab (my-book, or FOLDER=...); what you wrote stays"
	@echo "make bench  measure against peers; results go to benchmarks/results"

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	@echo "Creating .venv ..."
	@$(PYTHON) -m venv .venv

.venv/core.installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing from the pins (once) ..."
	@$(TORCH)
	@$(PIP) -e .
	@touch $@

.venv/dev.installed: .venv/core.installed
	@$(PIP) -e '.[dev,book,hub]'
	@touch $@

.venv/book.installed: .venv/core.installed
	@$(PIP) -e '.[book,hub]' ipykernel
	@touch $@

.venv/lab.installed: .venv/core.installed
	@$(PIP) -e '.[lab]'
	@touch $@

run: .venv/core.installed
	@.venv/bin/insideout train

lint: .venv/dev.installed
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

# All cores, but no more than 8; a file to a process, the longest first (tests/conftest.py).
ALL_CORES = -n logical --maxprocesses 8 --no-loadscope-reorder

test: lint
	@.venv/bin/pytest $(ALL_CORES)

test-quick: lint
	@.venv/bin/pytest $(ALL_CORES) tests/gradients tests/data tests/exercises tests/lab tests/transformer --ignore tests/transformer/exchange

book: .venv/book.installed
	@$(PY) book/build.py $(if $(PART),--part $(PART))

lab: export JUPYTER_CONFIG_DIR = $(CURDIR)/.venv/jupyter
lab: .venv/lab.installed
	@.venv/bin/jupyter labextension disable --level=sys_prefix "@jupyterlab/apputils-extension:announcements" >/dev/null 2>&1 || true
	@.venv/bin/insideout lab $(or $(FOLDER),my-book)

bench: .venv/dev.installed
	@for script in tokenizer generation smollm2 rollout kernels gradients planner training_throughput learning_speed; do script=benchmarks/$$script.py; echo "$$script"; $(PY) $$script || exit 1; done

clean:
	@rm -rf book/_build build .mypy_cache .ruff_cache .pytest_cache
