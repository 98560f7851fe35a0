#!/usr/bin/env bash
# Runs the unit tests on a second Python: on 3.11, the oldest supported, or on 3.13 or newer where .venv is 3.11 itself.
set -euo pipefail

if .venv/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    echo "The tests above ran on Python 3.11."
    newest=
    for candidate in python3.14 python3.13 "$HOME"/.pyenv/versions/3.1[34]*/bin/python; do
        "$candidate" -c 'import venv, ensurepip' 2>/dev/null && newest=$candidate && break
    done
    other=$newest
else
    other=
    for candidate in python3.11 "$HOME"/.pyenv/versions/3.11*/bin/python; do
        "$candidate" -c 'import venv, ensurepip' 2>/dev/null && other=$candidate && break
    done
fi
if [ -z "$other" ]; then
    echo "SKIPPED a second Python: neither 3.11 nor 3.13 stands beside $(.venv/bin/python -V)"
    exit 0
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$other" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt 2>/dev/null
"$folder/venv/bin/python" -V
ENV_FILE=/dev/null DATA_DIR="$folder/data" "$folder/venv/bin/python" -m pytest -n auto -p no:cacheprovider tests/unit
