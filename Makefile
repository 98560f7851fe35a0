# Everything a person does with this repository. `make help` lists it.
SHELL := /bin/sh
PY := .venv/bin/python
.DEFAULT_GOAL := help

# Checks and tests are about the code: they look at no .env and write no data/.
CLEAN := ENV_FILE=/dev/null DATA_DIR=.venv/check-data

.PHONY: help run demo test soak sillytavern node-clients check format messages docs lock bench image-check install install-dev

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: install ## Start hajimi (settings come from the environment and .env)
	@exec $(PY) manage.py serve

demo: install-dev ## Start hajimi against a built-in Gemini simulator: no key, no internet
	@exec $(PY) -m tests.gemini.demo

test: install-dev ## Run every test a laptop can run
	@$(CLEAN) $(PY) -m pytest -n auto -p no:cacheprovider -rs

soak: install-dev ## A minute of admin pages, chats and hang-ups, watched for crashes and lost tasks
	@$(CLEAN) $(PY) -m tests.soak

sillytavern: install-dev ## SillyTavern in a real browser against hajimi (needs Node, Chromium; installs SillyTavern)
	@$(CLEAN) $(PY) -m tests.sillytavern.run

node-clients: install-dev ## Client libraries of Node against hajimi (needs Node; installs them into a cache folder)
	@$(CLEAN) $(PY) -m tests.clients.run_node

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

bench: install-dev ## Measure speed and memory, print the table (SCALE=0.1 for a quick look)
	@$(CLEAN) $(PY) -m bench --scale $(or $(SCALE),1)

image-check: ## Build the Dockerfile for real, chat through the image, restart it
	@tools/image_check.sh

install:
	@PYTHON="$(PYTHON)" tools/install.sh requirements.txt

install-dev:
	@PYTHON="$(PYTHON)" tools/install.sh requirements-dev.txt
