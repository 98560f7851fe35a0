#!/usr/bin/env bash
# Prints the address of a PostgreSQL server whose user may create databases, or nothing. Root installs and
# starts one where none answers; what it does goes to stderr.
set -euo pipefail

works() { psql --no-psqlrc --quiet --no-password --dbname "$1" --command 'SELECT 1' >/dev/null 2>&1; }

for url in "${HAJIMI_TEST_POSTGRES_URL:-}" postgres://postgres@127.0.0.1:5432/postgres; do
    if [ -n "$url" ] && works "$url"; then
        echo "$url"
        exit 0
    fi
done

[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0
{
    apt-get update -qq
    apt-get -o DPkg::Lock::Timeout=900 install -y -qq --no-install-recommends postgresql
    pg_ctlcluster --skip-systemctl-redirect "$(ls /etc/postgresql | tail -n 1)" main start || true
    for _ in $(seq 30); do
        runuser -u postgres -- psql --quiet --command 'SELECT 1' >/dev/null 2>&1 && break
        sleep 1
    done
    secret=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    runuser -u postgres -- psql --quiet --command "DROP ROLE IF EXISTS hajimi_ci" \
        --command "CREATE ROLE hajimi_ci LOGIN CREATEDB PASSWORD '$secret'"
} >&2
url=postgres://hajimi_ci:$secret@127.0.0.1:5432/postgres
if works "$url"; then
    echo "$url"
fi
