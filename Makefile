# Everything a user needs: `make run` (the application), `make demo` (the main job in the terminal), `make test`.
# While working: `make test-fast` (the core), `make check` (linters), `make docs` (the site); CONTRIBUTING.md has more.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run demo setup setup-test setup-lessons test test-fast coverage check docs wheel lessons lessons-full bench bench-quick bench-peers lock clean

run: setup
	$(BIN)/streamlit run app.py

demo: setup
	$(BIN)/python -m hefl_core demo

setup: $(VENV)/.installed
setup-test: $(VENV)/.installed-test
setup-lessons: $(VENV)/.installed-lessons

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@

$(VENV)/.installed-test: requirements.txt pyproject.toml $(VENV)/.installed
	$(BIN)/pip install --quiet -e '.[docs,test]'
	touch $@

$(VENV)/.installed-lessons: requirements.txt pyproject.toml $(VENV)/.installed
	$(BIN)/pip install --quiet -e '.[lessons]'
	touch $@

test: setup-test
	$(BIN)/python -m pytest

# The core: no Ray, no TensorFlow, no browser, nothing slow. Under two minutes on two cores.
FAST := not ray and not keras and not browser and not slow
test-fast: setup-test
	$(BIN)/python -m pytest -m "$(FAST)"

# The same under coverage.py, with the lines of the core that it does not reach.
coverage: setup-test
	$(BIN)/coverage run -m pytest -m "$(FAST)"
	$(BIN)/coverage report

check: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

BENCHMARKS := aggregation job accuracy scale selective tree
RESULTS := build/bench

bench: setup
	mkdir -p $(RESULTS)
	set -e; for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py \
	  --json $(RESULTS)/$$name.json --markdown $(RESULTS)/$$name.md; cat $(RESULTS)/$$name.md; done

bench-quick: setup
	mkdir -p $(RESULTS)
	set -e; for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py --quick \
	  --json $(RESULTS)/$$name.json --markdown $(RESULTS)/$$name.md; cat $(RESULTS)/$$name.md; done

bench-peers: setup
	mkdir -p $(RESULTS)
	bash benchmarks/peer/install.sh build/peers
	$(BIN)/python benchmarks/peers.py --json $(RESULTS)/peers.json --markdown $(RESULTS)/peers.md

docs: setup-test
	$(BIN)/python -m hefl_core claims --markdown docs/claims.md
	$(BIN)/python docs/diagrams.py
	$(BIN)/mkdocs build --quiet
	@echo "build/site/index.html"

# The built package, with the application in it. What an older build left must not get in.
wheel: setup-test
	rm -rf build/lib build/bdist.*
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

# Every package with the hashes of its files, for `pip install --require-hashes -r requirements.lock`.
lock: setup-test
	$(BIN)/uv pip compile requirements.txt --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --quiet --output-file requirements.lock

# The notebooks in JupyterLab, on this machine only; `lessons-full` runs their solutions at full size, each in a kernel.
JUPYTER ?=
lessons: setup-lessons
	$(BIN)/jupyter lab --notebook-dir lessons --ip 127.0.0.1 $(JUPYTER)

lessons-full: setup-lessons
	$(BIN)/python -m lessons.run --full --kernel

clean:
	rm -rf $(VENV) build dist *.egg-info
