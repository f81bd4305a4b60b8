# One word a job. `make demo` and `make test` work on a fresh clone; everything else is listed by `make help`.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Given to pytest by `make test`, such as: make test PYTEST_ARGS="-x -k lease"
PYTEST_ARGS ?=
# Given to the demo by `make demo`, such as: make demo DEMO_ARGS="--files 200 --concurrency 4"
DEMO_ARGS ?=
# Given to the benchmarks by `make bench`, such as: make bench BENCH_ARGS="--only drain"
BENCH_ARGS ?=
# Given to the fault suite, such as: make faults FAULTS_ARGS="--only 1,16 --broker redis"; make soak FAULTS_ARGS="--minutes 5"
FAULTS_ARGS ?=

.PHONY: help venv servers demo test check format bench profile faults soak faults-compare reference docs clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(INSTALLED)  ## make .venv with everything that developing needs

$(INSTALLED): pyproject.toml scripts/venv.sh
	@scripts/venv.sh $(VENV)

servers:  ## install the servers that some tests start, where that is possible
	@scripts/servers.sh

demo: $(INSTALLED)  ## index the standard library while things break on purpose (half a minute, no server needed)
	@cd examples && exec ../$(BIN)/python -m demo $(DEMO_ARGS)

test: $(INSTALLED) servers  ## run all tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(INSTALLED)  ## formatting, lint, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy examples/demo
	$(BIN)/mypy benchmarks
	$(BIN)/mypy scripts dropin/src
	$(BIN)/pyright
	$(BIN)/python -m pytest --quiet tests/test_layers.py

format: $(INSTALLED)  ## format everything, and repair what lint can repair
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(INSTALLED) servers  ## measure Celeriac beside its peers (about an hour)
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

profile: $(INSTALLED) servers  ## microseconds of CPU per task: main process, children, Redis
	$(BIN)/python -m benchmarks.profile $(BENCH_ARGS)

faults: $(INSTALLED) servers  ## do every fault to every broker and pool, and write docs/faults.md (hours)
	$(BIN)/python -m tests.faults --table docs/faults.md $(FAULTS_ARGS)

soak: $(INSTALLED) servers  ## half an hour of random faults on Redis, and on RabbitMQ
	$(BIN)/python -m tests.faults.soak $(FAULTS_ARGS)

faults-compare: $(INSTALLED) servers  ## the same faults done to real Celery, and write docs/faults-compared.md
	$(BIN)/python -m tests.faults.compare --page docs/faults-compared.md $(FAULTS_ARGS)

reference: $(INSTALLED)  ## write the generated pages of the documentation anew
	$(BIN)/python scripts/settings_reference.py docs/reference/settings.md
	$(BIN)/python scripts/command_reference.py docs/reference/command-line.md
	$(BIN)/python scripts/exceptions_reference.py docs/reference/exceptions.md
	$(BIN)/python scripts/celery_names.py docs/reference/celery-names.md

docs: $(INSTALLED) reference  ## build the documentation into site/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	$(BIN)/mkdocs build --strict --quiet

clean:  ## delete everything that can be made again
	rm -rf $(VENV) .venv-peers site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
