#!/bin/sh
# Prints the Python that hajimi is to run on: $PYTHON if given, else the newest one that really works.
set -u

# A version manager may put a name on the PATH that only prints an error, and Debian splits off
# the modules a virtual environment needs: so each candidate is tried, not only looked up.
works='import ctypes, ensurepip, sqlite3, ssl, sys, venv; sys.exit(sys.version_info < (3, 11))'
recent='import sys; sys.exit(sys.version_info < (3, 11))'
incomplete=

try() {
    command -v "$1" >/dev/null 2>&1 || return 1
    if "$1" -c "$works" >/dev/null 2>&1; then
        command -v "$1"
        exit 0
    fi
    if [ -z "$incomplete" ] && "$1" -c "$recent" >/dev/null 2>&1; then
        incomplete=$1
    fi
}

if [ -n "${PYTHON:-}" ]; then
    try "$PYTHON"
else
    for name in python3.14 python3.13 python3.12 python3.11 python3; do
        try "$name"
    done
fi

if [ -n "$incomplete" ]; then
    echo "$incomplete cannot make a virtual environment: install its venv package (Debian, Ubuntu: apt-get install python3-venv)." >&2
elif [ -n "${PYTHON:-}" ]; then
    echo "PYTHON is set to '$PYTHON', which does not run or is older than Python 3.11." >&2
else
    echo "hajimi needs Python 3.11 or newer: install it, or name it with PYTHON=/path/to/python3." >&2
fi
exit 1
