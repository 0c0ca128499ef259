# The developer's commands are CI's commands. Each sets up what it needs: the virtual environment, the packages in the
# versions of constraints.txt, and for `test` the peers (dcmtk, dicom3tools, Orthanc, Chromium, OHIF).

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
BIN := $(VENV)/bin

.PHONY: demo test check bench soak peers pictures statement release licences audit format clean

demo: $(VENV)/.ready-run
	rm -rf demo-out
	$(BIN)/ocunet-pacs demo --out demo-out $(PHOTOS)

# Much of a test's time is waiting for daemons, so two processes share them file by file, the long acceptance runs first.
test: $(VENV)/.ready peers
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.ready
	$(BIN)/python -m tests.bench $(ARGS)

# Half an hour of load and faults; docs/soak.md.
soak: $(VENV)/.ready peers
	$(BIN)/python -m tests.soak $(ARGS)

format: $(VENV)/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The pictures of the documentation, taken anew: drawn eyes in real viewers.
pictures: $(VENV)/.ready peers
	$(BIN)/python -m tests.pictures docs/pictures
	$(BIN)/python -m tests.viewers.pictures
	$(BIN)/python -m tests.console.pictures

# The tables of the DICOM conformance statement, made of the code.
statement: $(VENV)/.ready
	$(BIN)/python -m tests.statement

# Wheel and source archive of the commit, the same bytes each time; beside them what an installation fetches, the list of
# parts (SBOM), and the digests of all.
release: $(VENV)/.ready
	rm -rf dist
	$(BIN)/python -m tests.release build --out dist
	$(BIN)/python -m tests.release describe --out dist

# docs/licences.md, made of the metadata of what is installed.
licences: $(VENV)/.ready
	$(BIN)/python -m tests.release licences

# Known vulnerabilities of what constraints.txt names. Fails where the service does not answer for every package.
audit: $(VENV)/.ready
	$(BIN)/python -m tests.release audit

peers:
	@sh tests/install-peers.sh

# grad-cam, an oracle of the tests, comes without its dependencies: it asks for the OpenCV build that needs libGL, and
# the two builds overwrite each other's files.
# torch goes first and alone: with it in place, nothing pulls another build of it.
$(VENV)/.ready-run: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.ready: $(VENV)/.ready-run
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps grad-cam ttach
	touch $@

clean:
	rm -rf $(VENV) demo-out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
