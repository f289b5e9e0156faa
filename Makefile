# Every target makes and uses the environment in .venv/; a second run installs nothing.
PYTHON := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help setup demo data classifier autoencoder translator vocoder test test-portable lint types unit-tests system-packages docs clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

setup: ## make .venv/ and install the project into it, with the stylize command
	@bash scripts/environment.sh

demo: setup ## stylize the bundled song into demo/
	$(PYTHON) -m scripts.demo

# A recipe trains a model like the bundled one from nothing into runs/NAME, and resumes where it stopped.
RENDER := $(PYTHON) -m scripts.prepare corpus
TRAIN := $(PYTHON) -m scripts.train

data: setup ## render the corpus and fetch the recordings that the recipes learn from
	$(PYTHON) -m scripts.prepare vocoder-data

classifier: data ## train the genre classifier
	$(TRAIN) configs/classifier.yaml

autoencoder: data ## train the autoencoder of the baseline
	$(TRAIN) configs/autoencoder.yaml

translator: data ## train the translator, about four hours on two cores
	$(RENDER) -o more_songs --songs 0 --test-songs 0 --training-songs 160
	$(RENDER) -o further --songs 0 --test-songs 0 --extra-songs 40
	$(TRAIN) configs/translator.yaml

vocoder: data ## train the vocoder, about an hour on one core, on mels of the bundled translator too
	$(PYTHON) -m scripts.prepare translations corpus recordings
	$(TRAIN) configs/vocoder.yaml

test: lint types unit-tests ## environment, Debian packages, linter, types, tests

lint: setup ## ruff: rules and format
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

docs: setup ## the documentation site, in build/site/
	$(PYTHON) -m mkdocs build --quiet

types: setup ## mypy
	$(PYTHON) -m mypy

unit-tests: setup system-packages ## pytest alone
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal --cov --cov-report=term:skip-covered

test-portable: setup system-packages ## the unit tests as on processors with AVX2 only, and with neither (slow)
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 $(MAKE) unit-tests
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 $(MAKE) unit-tests

system-packages:
	@bash scripts/system_packages.sh

clean: ## remove the demo's output and the caches of the tools; keeps .venv/, corpora and runs
	rm -rf demo build .pytest_cache .mypy_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
