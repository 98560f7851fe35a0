#!/usr/bin/env bash
# Prints the address of a Redis (or Valkey) server, or nothing. Root installs one and starts it where none answers;
# what it does goes to stderr.
set -euo pipefail

works() { redis-cli -u "$1" PING 2>/dev/null | grep -q PONG; }

for url in "${HAJIMI_TEST_REDIS_URL:-}" redis://127.0.0.1:6379/0; do
    if [ -n "$url" ] && command -v redis-cli >/dev/null && works "$url"; then
        echo "$url"
        exit 0
    fi
done

[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0
{
    apt-get update -qq
    apt-get -o DPkg::Lock::Timeout=900 install -y -qq --no-install-recommends redis-server redis-tools
    redis-server --port 6379 --bind 127.0.0.1 --save '' --daemonize yes
    for _ in $(seq 30); do
        works redis://127.0.0.1:6379/0 && break
        sleep 1
    done
} >&2
if works redis://127.0.0.1:6379/0; then
    echo redis://127.0.0.1:6379/0
fi
