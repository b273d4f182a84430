# Two pip calls make the environment: everything from the lock with hashes, then this project without dependencies.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DIR ?= demo-registry
NEEDS_GO := command -v go >/dev/null || (apt-get update -qq && apt-get install -y -qq --no-install-recommends golang-go golang-golang-x-mod-dev)
NEEDS_STRACE := command -v strace >/dev/null || (apt-get update -qq && apt-get install -y -qq strace)

.PHONY: demo test test-all lint docs serve bench faults interop lock clean

demo: $(READY)  ## the whole story, in DIR (demo-registry); an earlier demo there is replaced, nothing else is
	$(BIN)/inbond demo "$(DIR)"

test: $(READY)  ## every test that needs no long run
	$(BIN)/pytest -n 3

test-all: $(READY)  ## and the long fault runs
	$(NEEDS_STRACE)
	$(BIN)/pytest -n 2 -m ""

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict -p inbond

docs: $(READY)  ## the pages of docs/, in docs/_build; a warning is an error
	$(BIN)/sphinx-build -W --keep-going -n -q -E -b html docs docs/_build

faults: $(READY)  ## calls that fail, kills, cut connections, un-synced writes, flipped bits: counts those that fired
	$(NEEDS_STRACE)
	TMPDIR=$${TMPDIR:-/tmp} INBOND_FAULTS=100 $(BIN)/pytest -n 2 -m "faults or not faults" -k "fault or kill or flipped or test_machine" tests

interop: $(READY)  ## other people's code on our log; what is not there is skipped with a reason
	$(NEEDS_GO)
	$(BIN)/pytest tests/interop

bench: $(READY)  ## every measurement, as ratios within one run
	for script in bench/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

serve: $(READY)  ## the registry in DIR over HTTP, on a loopback port
	$(BIN)/inbond --registry "$(DIR)" serve

lock:  ## make requirements.lock again from pyproject.toml; needs uv on the PATH
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --group dev \
	  --python-version 3.11 pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) build dist docs/_build ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), f"expected Python 3.11 or newer, found {sys.version}"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)
