# Everything a new machine needs: Python 3.11 or later, make, and a package registry.
# A stamp file per set of packages, so that a second call installs nothing.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
CODE := src tests tools integrations pages notebooks
export HF_HUB_OFFLINE := 1
export MPLBACKEND := Agg

.PHONY: help demo test test-fast check format pages notebooks docs release-check fuzz faults zoo bench-table benchmarks monitor-demo clean

help:  ## Say what can be made
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.ok  ## Find the copies among fresh outputs of a small model, with a report
	$(VENV)/bin/equipoise demo

test: check  ## Lint, types, rooms, and every test
	$(PY) -m pytest -n 2 --dist loadfile

test-fast: check  ## The same without the slow tests
	$(PY) -m pytest -n 2 --dist loadfile -m "not slow"

check: $(VENV)/.ok-dev  ## Lint, types, rooms
	$(VENV)/bin/ruff check $(CODE)
	$(VENV)/bin/ruff format --check $(CODE)
	$(VENV)/bin/pyright
	$(VENV)/bin/lint-imports

format: $(VENV)/.ok-dev  ## Format the code
	$(VENV)/bin/ruff check --fix $(CODE)
	$(VENV)/bin/ruff format $(CODE)

pages: $(VENV)/.ok-dev  ## Write the pages that are made from the code and the cards
	$(PY) pages/write_pages.py

notebooks: $(VENV)/.ok-dev  ## Run the notebooks and keep what they print and draw
	$(PY) notebooks/run.py

docs: $(VENV)/.ok-dev  ## Build the documentation into build/site
	$(VENV)/bin/zensical build --clean --strict

release-check:  ## Build the wheel, and try it in an empty environment: demo, docs, licences
	$(PYTHON) tools/release_check.py

fuzz: $(VENV)/.ok-dev  ## Change checkpoints at random 120,000 times (half an hour)
	$(PY) benchmarks/fuzz_checkpoints.py --count 120000 > docs/fuzz.md

faults: $(VENV)/.ok-dev  ## Break audits in every way there is a name for (an hour on one core)
	$(PY) benchmarks/kill_audit.py > docs/faults.md
	$(PY) benchmarks/faults.py > docs/faults-inside.md

benchmarks: $(VENV)/.ok-dev  ## Measure speed, scale, monitor and guard on an idle machine (four hours, a million pictures)
	$(PY) -m benchmarks.published_path > docs/published-path.md
	$(PY) benchmarks/startup.py > docs/startup.md
	$(PY) benchmarks/scale_audit.py 10000 100000 1000000 --kills 10 > docs/scale.md
	$(PY) benchmarks/report_size.py 100 100000
	$(PY) benchmarks/monitor_saves.py edm-fashion dit-fashion > docs/figures-monitor.md
	$(PY) benchmarks/guard.py edm-fashion dit-fashion > docs/figures-guard.md
	$(PY) benchmarks/guard.py sd-emoji --fit 1500 --report 700 > docs/figures-guard-sd.md

zoo: $(VENV)/.ok  ## Train the zoo again into runs/zoo (about 40 minutes)
	$(VENV)/bin/equipoise zoo train edm-fashion

bench-table: $(VENV)/.ok  ## Compare detectors again and embed the table in the README (15 minutes)
	rm -rf runs/bench-table
	$(VENV)/bin/equipoise bench --models zoo:edm-fashion,zoo:dit-fashion,zoo:sd-emoji --out runs/bench-table
	$(PY) benchmarks/bench_table.py runs/bench-table

monitor-demo: $(VENV)/.ok  ## Train small models under a monitor, twice, and write the figures (20 minutes)
	rm -rf runs/monitor-demo
	$(VENV)/bin/equipoise monitor demo --seed 3 --out runs/monitor-demo/3
	$(VENV)/bin/equipoise monitor demo --seed 4 --out runs/monitor-demo/4
	$(PY) benchmarks/monitor_demo.py runs/monitor-demo/3 runs/monitor-demo/4 > docs/figures-monitor-demo.md

clean:  ## Remove what was made
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/.ok: pyproject.toml constraints.txt
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q -c constraints.txt -e ".[diffusers]"
	touch $@

$(VENV)/.ok-dev: pyproject.toml constraints.txt
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q -c constraints.txt -e ".[dev]"
	touch $@ $(VENV)/.ok
