# Everything a person does with this repository. `make help` lists it.
SHELL := /bin/sh
PY := .venv/bin/python
.DEFAULT_GOAL := help

# Checks and tests are about the code: they look at no .env and write no data/.
CLEAN := ENV_FILE=/dev/null DATA_DIR=.venv/check-data

.PHONY: help run demo test soak chaos sillytavern node-clients browser check format messages docs lock bench bench-all bench-peers bench-pages guard test-postgres test-uvicorn single-file image-check homes screenshots newcomer install install-dev install-slow fuzz audit sbom

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: install ## Start hajimi (settings come from the environment and .env)
	@exec $(PY) manage.py serve

demo: install-dev ## Start hajimi against a built-in Gemini simulator: no key, no internet
	@exec $(PY) -m tests.gemini.demo

test: install-dev ## Run every test a laptop can run
	@$(CLEAN) $(PY) -m pytest -n auto --dist worksteal -p no:cacheprovider -rs

soak: install-dev ## A minute of admin pages, chats and hang-ups, watched for crashes and lost tasks
	@$(CLEAN) $(PY) -m tests.soak

chaos: install-dev ## Minutes of failures of every kind, kills and crashes; every answer, row and count is checked (SHORT=1)
	@$(CLEAN) $(PY) -m tests.chaos $(if $(SHORT),--short)

sillytavern: install-dev ## SillyTavern in a real browser against hajimi (needs Node, Chromium; installs SillyTavern)
	@$(CLEAN) $(PY) -m tests.sillytavern.run

node-clients: install-dev ## Client libraries of Node against hajimi (needs Node; installs them into a cache folder)
	@$(CLEAN) $(PY) -m tests.clients.run_node

browser: install-dev ## The admin's desk and the other pages in a real browser (needs Chromium)
	@$(PY) -m pip install --quiet --disable-pip-version-check --prefer-binary --require-hashes -r requirements-slow.txt
	@$(CLEAN) HAJIMI_BROWSER=1 $(PY) -m pytest -p no:cacheprovider tests/browser

check: install-dev ## Format, lint, types, layers, migrations, messages
	@$(CLEAN) tools/check.sh

format: install-dev ## Rewrite the code in the one format
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

messages: install-dev ## Collect texts to translate and compile the translations
	@$(CLEAN) $(PY) tools/messages.py

docs: install-dev ## Write the pages that are made from the code
	@$(CLEAN) $(PY) -m hajimi_site.configuration_page docs/configuration.md

lock: install-dev ## Renew the locked requirements
	@tools/lock.sh

fuzz: install-slow ## Anything at all against every parser and door (CASES=50000 SECONDS=600)
	@$(CLEAN) $(PY) -m tests.fuzz.run --cases $(or $(CASES),50000) --seconds $(or $(SECONDS),600)

audit: install-slow ## Ask about known faults of the locked libraries
	@$(PY) tools/audit.py

sbom: install-slow ## Write dist/sbom.cdx.json: every library that users install (CycloneDX)
	@mkdir -p dist
	@$(PY) -m cyclonedx_py requirements requirements.txt --pyproject pyproject.toml --output-reproducible \
		--output-format JSON --output-file dist/sbom.cdx.json
	@echo "dist/sbom.cdx.json written"

bench: install-dev ## Measure speed and memory, print the table (SCALE=0.1 for a quick look)
	@$(CLEAN) $(PY) -m bench --scale $(or $(SCALE),1)

single-file: install-dev ## Write dist/Dockerfile: all of hajimi in one text file (SOURCE_URL=... to update from there)
	@$(PY) tools/single_file.py --source-url "$(SOURCE_URL)" --source-sha256 "$(SOURCE_SHA256)"

bench-all: install-dev ## The long tables: every kind of request, stores, servers, 1 to 1000 streams, growth (20 minutes)
	@$(CLEAN) $(PY) -m bench --all --scale $(or $(SCALE),1)

bench-peers: install-dev ## Other gateways beside hajimi in one run (installs Portkey and LiteLLM into a cache folder)
	@$(CLEAN) $(PY) -m bench --peers --scale $(or $(SCALE),1)

bench-pages: install-dev ## Every page of the desk with 2,000 keys, 500 members and a million log rows (10 minutes; DATABASE_URL)
	@$(CLEAN) $(PY) -m bench.pages

guard: install-dev ## Count instructions of a request and a chunk (needs valgrind); fail when they have grown much
	@$(CLEAN) $(PY) -m bench.guard

test-postgres: install-dev ## Every test again, on PostgreSQL (HAJIMI_TEST_POSTGRES_URL: a server and a user who may create databases)
	@[ -n "$$HAJIMI_TEST_POSTGRES_URL" ] || { echo "HAJIMI_TEST_POSTGRES_URL is not set"; exit 1; }
	@$(CLEAN) HAJIMI_TEST_DATABASE=postgres DATABASE_URL="$${HAJIMI_TEST_POSTGRES_URL%/*}/hajimi_tests" $(PY) -m pytest -n auto --dist worksteal -p no:cacheprovider -rs $(TESTS)

test-uvicorn: install-dev ## The tests of the running service again, on uvicorn instead of Daphne (TESTS=...)
	@$(CLEAN) HAJIMI_TEST_SERVER=uvicorn $(PY) -m pytest -n auto --dist worksteal -p no:cacheprovider -rs $(or $(TESTS),tests/service)

image-check: ## Build both Dockerfiles for real, chat through the images, restart them
	@tools/image_check.sh

screenshots: install-dev ## Take the pictures in the documents anew (needs Chromium; Node for SillyTavern's)
	@$(PY) -m pip install --quiet --disable-pip-version-check --prefer-binary --require-hashes -r requirements-slow.txt
	@$(CLEAN) $(PY) -m tests.screenshots

.PHONY: homes
homes: install-slow ## Other homes by the documents' commands: a Debian with systemd, a Docker engine (needs root on a Debian)
	@$(CLEAN) $(PY) -m tests.homes

newcomer: install-dev ## Walk the READMEs from a fresh clone to a streamed answer, in SillyTavern where it can be installed
	@$(CLEAN) $(PY) -m tests.newcomer

install:
	@PYTHON="$(PYTHON)" tools/install.sh requirements.txt

install-dev:
	@PYTHON="$(PYTHON)" tools/install.sh requirements-dev.txt

install-slow: install-dev
	@cmp -s requirements-slow.txt .venv/requirements-slow.txt || { \
		echo "Installing requirements-slow.txt"; \
		$(PY) -m pip install --quiet --disable-pip-version-check --prefer-binary --require-hashes -r requirements-slow.txt \
		&& cp requirements-slow.txt .venv/requirements-slow.txt; }
