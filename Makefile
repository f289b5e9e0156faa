# Every target makes and uses the environment in .venv/; a second run installs nothing.
PYTHON := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help setup demo translator test test-portable lint types unit-tests system-packages clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

setup: ## make .venv/ and install the project into it, with the stylize command
	@bash scripts/environment.sh

demo: setup ## stylize the bundled song into demo/
	$(PYTHON) -m scripts.demo

translator: setup ## train the translator from nothing: data, four parts, over four hours on two cores; goes on where it stopped
	$(PYTHON) -m scripts.prepare vocoder-data
	$(PYTHON) -m scripts.prepare corpus -o more_songs --songs 0 --test-songs 0 --training-songs 160
	$(PYTHON) -m scripts.prepare corpus -o further --songs 0 --test-songs 0 --extra-songs 40
	$(PYTHON) -m scripts.train_travelgan configs/translator.yaml --run runs/translator
	$(PYTHON) -m scripts.train_travelgan configs/translator_finish.yaml --run runs/translator_finish
	$(PYTHON) -m scripts.train_travelgan configs/translator_examples.yaml --run runs/translator_examples
	$(PYTHON) -m scripts.train_travelgan configs/translator_generator.yaml --run runs/translator_generator
	test -d runs/translator_mixed || $(PYTHON) -m scripts.mix_models runs/translator_generator/best runs/translator_examples/best --share 0.5 -o runs/translator_mixed

test: lint types unit-tests ## environment, Debian packages, linter, types, tests

lint: setup ## ruff
	$(PYTHON) -m ruff check .

types: setup ## mypy
	$(PYTHON) -m mypy

unit-tests: setup system-packages ## pytest alone
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal

test-portable: setup system-packages ## the unit tests as on processors with AVX2 only, and with neither (slow)
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 $(MAKE) unit-tests
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 $(MAKE) unit-tests

system-packages:
	@bash scripts/system_packages.sh

clean: ## remove the demo's output and the caches of the tools; keeps .venv/, corpora and runs
	rm -rf demo build .pytest_cache .mypy_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
