# `make run` and `make test` need git, make and Python 3.11 or newer with venv, and nothing else.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo "$$python" && break; done)
BIN := .venv/bin

.PHONY: run example install quick test check programs browser nginx postgresql node bench compare \
	hundred-thousand soak drill fuzz model mutants screenshots icons docs release sbom \
	container fresh pins clean

# Flags for the server: make run ARGS='--port 9000'
run: .venv/.done
	@$(BIN)/python -m presence_server $(ARGS)

# An application with users of its own, beside a server: make example ARGS=wiki (Django), or
# ARGS=document (Express; needs Node).
example: .venv/.done
	@$(BIN)/python examples/run.py $(ARGS)

# What root installs a user of the service shall run: not with a Python in a folder of root's own.
FOR_ALL := import ensurepip, os, pathlib, sys; found = map(pathlib.Path, (sys.executable, os.__file__)); \
	sys.exit(sys.version_info < (3, 11) or not (os.getuid() or all(folder.stat().st_mode & 1 \
	for file in found for folder in (*file.parents, *file.resolve().parents))))
PYTHON_FOR_ALL = $(shell for python in python3 /usr/bin/python3 /usr/local/bin/python3 python3.14 \
	python3.13 python3.12 python3.11; do "$$python" -c '$(FOR_ALL)' 2>/dev/null \
	&& echo "$$python" && break; done)
INSTALL_PYTHON = $(if $(filter file,$(origin PYTHON)),$(PYTHON_FOR_ALL),$(PYTHON))

# Just the server, for good: make install PREFIX=/opt/presence-server. Again for an upgrade.
install:
	@test -n "$(PREFIX)" || { echo "Say where: make install PREFIX=/opt/presence-server"; exit 1; }
	@test -n "$(INSTALL_PYTHON)" || { \
		echo "There is no Python 3.11 or newer with venv that every user can run (Debian: apt-get install python3-venv). To take another one all the same: make install PREFIX=$(PREFIX) PYTHON=python3"; exit 1; }
	$(INSTALL_PYTHON) -m venv $(PREFIX)
	$(PREFIX)/bin/python -m pip install $(HASHED) -r requirements.txt
	$(PREFIX)/bin/python -m pip install $(OURS) --force-reinstall .

# Where the environment says otherwise, each process would read all code anew.
test quick drill: export PYTHONDONTWRITEBYTECODE :=

# All that must hold for a change to land. Some of the tests: make test TESTS=tests/test_cli.py
# Status 5: of those, none is to run in this way.
test: .venv/.done-test
	@$(MAKE) --no-print-directory -j 4 check programs node .venv/.done-docs .venv/.done-release
	$(BIN)/python -m pytest -n 4 --dist worksteal -m 'not alone and not drill' $(TESTS) || test $$? -eq 5
	$(BIN)/python -m pytest -n 4 -m drill $(TESTS) || test $$? -eq 5
	$(BIN)/python -m pytest -m alone $(TESTS) || test $$? -eq 5

# What is worth a run after every few lines: style, types, layers, rules, pages.
quick: check
	MODEL_SHARE=0.1 $(BIN)/python -m pytest -n 2 -m 'not alone and not slow' -k 'not postgresql' \
		tests/presence tests/web tests/test_endings.py tests/test_store.py

check: .venv/.done-test
	$(BIN)/python -m flake8
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

# One after the other: each may ask the package manager of the machine, which serves one at a time.
programs: .venv/.done-test
	@$(BIN)/python -m testing.install_browser
	@$(BIN)/python -m testing.install_nginx
	@$(BIN)/python -m testing.install_postgresql

browser: .venv/.done-test
	@$(BIN)/python -m testing.install_browser

nginx: .venv/.done-test
	@$(BIN)/python -m testing.install_nginx

postgresql: .venv/.done-test
	@$(BIN)/python -m testing.install_postgresql

node: .venv/.done-test
	@$(BIN)/python -m testing.install_node_packages

# Breaks a real site in every way we know. Some of them: make drill ARGS='F1 F27 --seed 7'
drill: .venv/.done-test
	@$(BIN)/python -m drill $(ARGS)

# Hostile input at length, and 200 kills during sign-ups. The same again: make fuzz FUZZ_SEED=N
FUZZ_SEED ?= $(shell date +%s)
fuzz: .venv/.done-test
	FUZZ_SEED=$(FUZZ_SEED) FUZZ_EXAMPLES=25000 KILLS=200 FLOOD_SECONDS=20 $(BIN)/python -m pytest -s tests/fuzz

# Measures every budget on this machine and writes the figures down. A part: make bench ARGS='--only flood'
bench: .venv/.done-test
	@$(BIN)/python -m benchmarks.budgets --write $(ARGS)

# Measures this server beside others and writes the figures down. In three minutes, for a trial only:
# make compare SHORT=1
compare: .venv/.done-test
	@$(BIN)/python -m benchmarks.compare $(if $(SHORT),--short,--write) $(ARGS)

# A hundred thousand people here at once; writes the figures down. With few, for a trial only:
# make hundred-thousand SHORT=1
hundred-thousand: .venv/.done-test
	@missed=0; $(BIN)/python -m benchmarks.hundred_thousand $(if $(SHORT),--short,--write) $(ARGS) || missed=1; \
	MANY_HERE=$(if $(SHORT),10000,100000) $(BIN)/python -m pytest -q -s tests/browser/test_many.py -k smooth || missed=1; \
	exit $$missed

# An hour of people who come and go: does anything grow? A short one: MINUTES=3 make soak
# Only the client in a page: make soak PART=page
soak: .venv/.done-test
	@$(BIN)/python -m benchmarks.soak --minutes $(or $(MINUTES),60) --part $(or $(PART),all)

# Thousands of new runs of the models in tests/presence, and random walks over a real server. One of
# them again: make model ARGS=--hypothesis-seed=7, or what the walk that failed says.
model: .venv/.done-test
	MODEL_RUNS=$(or $(RUNS),5000) MODEL_SEED=$(SEED) $(BIN)/python -m pytest tests/presence -k model $(ARGS)
	$(BIN)/python -m tests.live.walk --walks 10

# Changes the code in thousands of small ways: does a test notice each? Goes on where it was stopped.
# One of them: make mutants ARGS='presence_server.presence.roster*'; then: .venv/bin/mutmut browse
mutants: .venv/.done-test
	@$(BIN)/python -m pip install $(HASHED) -r requirements-mutants.txt
	MODEL_SHARE=0.02 $(BIN)/python -m testing.mutation_trial $(ARGS)
	@$(BIN)/python -m testing.mutation_score

# The pictures of the README.
screenshots: browser
	$(BIN)/python -m tests.screenshots

# What browsers take for icons, from static/icon.svg.
icons: browser
	$(BIN)/python -m tests.icons

# The README and docs/ as a site, in build/docs; every link between pages must lead somewhere. Those to
# elsewhere, over the network: make docs ARGS='-b linkcheck'
docs: .venv/.done-docs
	@.venv/docs/bin/python -m sphinx --quiet --fail-on-warning --keep-going $(ARGS) \
		-c docs/site -d build/doctrees . build/docs
	@echo "Open build/docs/index.html."

# What is published of a version, tried and with its hashes, in dist/: docs/releasing.md.
release: .venv/.done-release
	@$(BIN)/python -m testing.release $(if $(TAG),--tag $(TAG)) $(ARGS)

# The software bill of materials alone (CycloneDX), in dist/.
sbom: .venv/.done-release
	@$(BIN)/python -m testing.release --bill

# The steps of the Containerfile without a container engine, in a Debian made for it. Needs root.
container: .venv/.done-test
	@$(BIN)/python -m testing.container

# `make run` on a machine with git, make and Python only: a Debian made for it. Needs root.
fresh: .venv/.done-test
	@$(BIN)/python -m testing.fresh

# Writes down anew, with their hashes, what setup.cfg and constraints.txt name. Needs uv.
pins:
	uv pip compile $(PINS) setup.cfg requirements-build.in --output-file requirements.txt
	uv pip compile $(PINS) --extra test setup.cfg --output-file requirements-test.txt
	for set in mutants docs release; do \
		uv pip compile $(PINS) requirements-$$set.in --output-file requirements-$$set.txt || exit; done
PINS := --quiet --universal --generate-hashes --python-version 3.11 --constraint constraints.txt \
	--no-annotate --no-header --no-emit-index-url --upgrade

clean:
	rm -rf .venv build dist mutants *.egg-info .mypy_cache .pytest_cache .hypothesis .import_linter_cache

# What others made comes by its hashes; what is here has none, and is built with what came by them.
HASHED := --quiet --disable-pip-version-check --require-hashes --no-deps
OURS := --quiet --disable-pip-version-check --no-deps --no-build-isolation

.venv/.done: setup.cfg pyproject.toml requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install $(HASHED) -r requirements.txt
	$(BIN)/python -m pip install $(OURS) -e .
	@touch $@

.venv/.done-test: setup.cfg pyproject.toml requirements-test.txt | .venv/bin/python
	$(BIN)/python -m pip install $(HASHED) -r requirements-test.txt
	$(BIN)/python -m pip install $(OURS) -e .
	@touch .venv/.done $@

# Tools with much that nothing else needs have an environment of their own.
.venv/.done-%: requirements-%.txt | .venv/.done-test
	$(BIN)/python -m venv --clear .venv/$*
	.venv/$*/bin/python -m pip install $(HASHED) -r $<
	@touch $@

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and there is none on the PATH."; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: install its venv (Debian: apt-get install python3-venv)."; exit 1; }
	$(PYTHON) -m venv --clear .venv
