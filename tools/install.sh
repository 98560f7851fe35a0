#!/bin/sh
# Makes .venv and installs one locked list into it; does nothing when that very list is installed already.
# Usage: tools/install.sh requirements.txt
set -eu
cd "$(dirname "$0")/.."
lock=$1
identity='import sys; sys.exit(1) if sys.version_info < (3, 11) else print(sys.base_prefix, sys.version)'

here=$(.venv/bin/python -c "$identity" 2>/dev/null || true)
if [ -n "${PYTHON:-}" ] && [ "$here" != "$("$PYTHON" -c "$identity" 2>/dev/null || true)" ]; then
    here=
fi
if [ -z "$here" ]; then
    python=$(tools/find_python.sh)
    echo "Making .venv with $("$python" -V) ($python)"
    rm -rf .venv
    "$python" -m venv .venv
fi

# The longer list holds everything of the shorter one, in the same versions.
if ! cmp -s "$lock" ".venv/$lock" && ! cmp -s requirements-dev.txt .venv/requirements-dev.txt; then
    echo "Installing $lock"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --prefer-binary --require-hashes -r "$lock"
    cp "$lock" ".venv/$lock"
fi
