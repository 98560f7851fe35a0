#!/bin/sh
# Renews requirements*.txt: one list for every system and for Python 3.11 to 3.14, with a hash for each file.
# Usage: tools/lock.sh [--upgrade]
set -eu
cd "$(dirname "$0")/.."
for name in requirements requirements-dev requirements-slow; do
    .venv/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
        --no-emit-index-url --custom-compile-command "make lock" "$@" "$name.in" --output-file "$name.txt"
done
if grep -nE 'https?://|--(index|extra-index|find-links)' requirements.txt requirements-dev.txt requirements-slow.txt; then
    echo "A locked list names a package server; it must not." >&2
    exit 1
fi
