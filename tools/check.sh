#!/bin/sh
# The one gate before a push: format, lint, types, layers, Django's own checks, migrations, messages.
set -eu
cd "$(dirname "$0")/.."
py=${PY:-.venv/bin/python}

step() {
    echo "-- $*"
    "$py" "$@"
}

step -m ruff format --check .
step -m ruff check .
step -m mypy
step -m pytest -p no:cacheprovider tests/unit/test_layers.py
step manage.py check --deploy --fail-level WARNING
step manage.py makemigrations --check --dry-run
step tools/messages.py --check
