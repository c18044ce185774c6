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

# Where the locks cover the platform, nothing is installed whose hash does not stand in one of them, and nothing is built but
# the project itself, by the setuptools of requirements.lock.
COVERED := import platform as p, sys; print("locked" if (p.system(), p.machine()) in {("Linux", "x86_64"), \
  ("Linux", "aarch64"), ("Windows", "AMD64")} and (3, 11) <= sys.version_info[:2] <= (3, 13) and \
  p.python_implementation() == "CPython" and (p.system() != "Linux" or p.libc_ver()[0] == "glibc") else "open")

define install
@if [ "$$($(BIN)/python -c '$(COVERED)')" = locked ]; then \
  set -x; $(BIN)/pip install --quiet --require-hashes --only-binary :all: -r $(1); \
else \
  echo "$(1) does not cover this platform: installing without hashes (docs/deployment.md)"; \
  set -x; $(BIN)/pip install --quiet $(2); \
fi
endef
editable = $(BIN)/pip install --quiet --no-deps --no-build-isolation -e .

$(VENV)/.installed: requirements.lock requirements.txt requirements-light.txt | $(VENV)/bin/python
	$(call install,requirements.lock,-r requirements.txt)
	touch $@

$(VENV)/.installed-test: requirements-test.lock requirements-docs.lock pyproject.toml $(VENV)/.installed
	$(call install,requirements-test.lock,'.[test]')
	$(call install,requirements-docs.lock,'.[docs]')
	$(editable)
	touch $@

$(VENV)/.installed-lessons: requirements-lessons.lock pyproject.toml $(VENV)/.installed
	$(call install,requirements-lessons.lock,'.[lessons]')
	$(editable)
	touch $@

# A file at a time on every core; then, one after the other, what starts many processes of its own.
PARALLEL := --numprocesses auto --dist loadfile
MANY := ray or keras or browser
test: setup-test
	$(BIN)/python -m pytest $(PARALLEL) -m "not ($(MANY))"; first=$$?; \
	$(BIN)/python -m pytest -m "$(MANY)" && exit $$first

# The core: no Ray, no TensorFlow, no browser, nothing slow.
FAST := not ($(MANY)) and not slow
test-fast: setup-test
	$(BIN)/python -m pytest $(PARALLEL) -m "$(FAST)"

# The same under coverage.py, with the lines of the core that it does not reach.
coverage: setup-test
	$(BIN)/coverage run -m pytest -m "$(FAST)"
	$(BIN)/coverage report

check: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

BENCHMARKS := aggregation one_time job accuracy few_bits scale selective tree
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
	$(BIN)/python -m mkdocs build --quiet
	@echo "build/site/index.html"

# The built package, with the application in it. What an older build left must not get in.
wheel: setup-test
	rm -rf build/lib build/bdist.*
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

# Every package with the hashes of its files; for each extra, what it adds.
LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
  --no-emit-index-url --no-emit-find-links --quiet
locked = $$(sed -n 's/^\([A-Za-z0-9_.-]*\)==.*/--no-emit-package \1/p' requirements.lock)
lock: setup-test
	$(LOCK) requirements.txt --output-file requirements.lock
	for extra in test docs lessons; do $(LOCK) pyproject.toml --extra $$extra --constraint requirements.lock $(locked) \
	  --output-file requirements-$$extra.lock || exit 1; done

# The notebooks in JupyterLab, on this machine only; `lessons-full` runs their solutions at full size, each in a kernel.
JUPYTER ?=
lessons: setup-lessons
	$(BIN)/jupyter lab --notebook-dir lessons --ip 127.0.0.1 $(JUPYTER)

lessons-full: setup-lessons
	$(BIN)/python -m lessons.tools.run --full --kernel

clean:
	rm -rf $(VENV) build dist *.egg-info
