# Everything here works from a bare checkout with Python 3.11 or later (with pip and venv), make and g++.
#   make venv   the environment in .venv, made anew when pyproject.toml changes
#   make lint   format, lint and types
#   make test   lint, then every test that needs no PyTorch
#   make unit U=shiftmax  the benches of one unit, under a minute; WAVES=1 writes waveforms, U=? lists the units
#   make docs   the documentation as a site in build/site; fails on a warning or a broken link
#   make test-training  what needs PyTorch, which it installs: fine-tuning, PyTorch's files, and the float models beside
#               those of timm, transformers and open_clip
#   make netlists  the compute units after synthesis to standard cells, on their benches: some 20 minutes
#   make fuzz   random networks, machines and memories, every integer compared: nightly, some hours (docs/verification.md)
#   make mutation  how many small faults in each unit its bench notices (docs/verification.md)
#   make pins   the Arty's top at its pins, from power-on to a labelled digit, then with each fault: nightly (docs/pins.md)
#   make bitstream  place and route for the ULX3S, from wheels alone: nightly, for it takes an hour and more (docs/boards.md: how far it comes)
#   make tutorial  every command of docs/tutorial.md in a fresh copy: minutes
#   make demo   the shipped model on real images

PYTHON ?= python3
VENV ?= .venv
# Two workers: the simulations are single-threaded and two of them fit the smallest CI machine. `worksteal` lets a worker
# keep neighbouring tests, which share what they have elaborated and built.
TEST_WORKERS ?= 2

PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
TRAINING_STAMP := $(VENV)/.training-installed
DOCS_VENV ?= build/docs-venv
DOCS_STAMP := $(DOCS_VENV)/.installed
SITE := build/site
CHECK_PYTHON := $(PYTHON) -c 'import sys; v = sys.version_info[:3]; sys.exit(None if v >= (3, 11) else "Python 3.11 or later is needed, not %d.%d.%d; name one with `make PYTHON=python3.11`." % v)'
ROOMS := $(wildcard hw gateware sim firmware host tests docs/*.py)

.PHONY: venv lint test unit docs test-training netlists fuzz mutation pins bitstream tutorial demo clean
.DELETE_ON_ERROR:

venv: $(STAMP)

# The stamp is older than pyproject.toml whenever a dependency changed; pip then brings the environment up to date.
$(STAMP): pyproject.toml
	@$(CHECK_PYTHON)
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --editable '.[dev]'
	touch $@

lint: venv
	$(PY) -m ruff format --check $(ROOMS)
	$(PY) -m ruff check $(ROOMS)
	$(PY) -m mypy $(ROOMS)

test: lint
	$(PY) -m pytest -n $(TEST_WORKERS) --dist worksteal --durations=20

unit: venv
	@$(PY) -m tests.unit '$(U)' $(if $(WAVES),--waves)

# Sphinx is in an environment of its own: nothing else needs it, and its many parts could pull the others apart.
docs: $(DOCS_STAMP)
	$(DOCS_VENV)/bin/python docs/draw.py
	$(DOCS_VENV)/bin/python -m sphinx --fail-on-warning --nitpicky --keep-going --quiet --jobs 1 docs $(SITE)
	@echo "The site is $(SITE)/index.html."

$(DOCS_STAMP): docs/requirements.txt
	@$(CHECK_PYTHON)
	test -x $(DOCS_VENV)/bin/python || $(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install --quiet --requirement docs/requirements.txt
	touch $@

# The models are so small that threads of one process only wait for one another.
test-training: $(TRAINING_STAMP)
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(TEST_WORKERS) --durations=5 tests/firmware/training

$(TRAINING_STAMP): $(STAMP)
	$(PY) -m pip install --quiet --editable '.[dev,libraries,training]'
	touch $@

netlists: venv
	IVIT_NETLISTS=1 $(PY) -m pytest tests/hw/asic/test_netlist.py

fuzz: venv
	$(PY) -m sim.fuzz --frames 5000 --machines 18
	$(PY) -m sim.fuzz --frames 2500 --machines 18 --pump 2
	$(PY) -m sim.fuzz --frames 100 --machines 1 --memory litedram:arty_a7
	$(PY) -m sim.fuzz --frames 100 --board ulx3s_85f --memory litedram:ulx3s_85f

mutation: venv
	$(PY) -m tests.mutation

pins: venv
	$(PY) -m sim.pins
	$(PY) -m sim.pins --faults

bitstream: venv
	$(PY) -m hw.build --board ulx3s_85f

tutorial: venv
	$(PY) -m tests.tutorial

demo:
	@echo 'A trained model reads handwritten digits on the emulated Arty A7. The first time this takes about three minutes:'
	@echo 'pip installs the environment into $(VENV), then Verilator compiles the board. Later it takes half a minute.'
	@$(MAKE) --no-print-directory venv
	$(PY) -m host.demo

clean:
	rm -rf build $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
