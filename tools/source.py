"""Runs while the single-file edition is built: puts the source where the image takes it from.

    python source.py CARRIED TARGET

CARRIED is the source that the Dockerfile carries. With HAJIMI_SOURCE_URL set it is left aside: the address is fetched
instead, a tar.gz with one top folder, checked against SOURCE_SHA256 when that is set too. Anything that is no hajimi
ends the build with one sentence. Needs nothing but Python itself.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import sys
import tarfile
import tempfile
import urllib.request
import zlib
from pathlib import Path
from urllib.parse import urlsplit

MOST_BYTES = 64 * 2**20
MOST_UNPACKED = 512 * 2**20
SECONDS = 120
NEEDED = ("manage.py", "requirements.txt", "hajimi_site/version.py")
# What no running hajimi reads. Everything else is taken: a newer version may have folders that this one has not.
LEFT_OUT = ("tests", "tools", "docs", "bench", "dist", "build", "data")


class Unusable(Exception):
    """The source cannot be used; the message says why."""


def main(carried: Path, target: Path, url: str, sha256: str) -> None:
    """Put the source into ``target`` and say which version it is. Raises Unusable."""
    if not url:
        place(carried, target)
        print(f"hajimi {version_of(target)}, from the source that this file carries")
        return
    fetched = fetch(url)
    check(fetched, sha256)
    with tempfile.TemporaryDirectory() as folder:
        place(unpacked(fetched, Path(folder)), target)
    print(f"hajimi {version_of(target)}, fetched from {shown(url)} (sha256 {hashlib.sha256(fetched).hexdigest()})")


def fetch(url: str) -> bytes:
    """Return what stands at ``url``. Raises Unusable."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise Unusable(f"HAJIMI_SOURCE_URL must begin with https:// or http://, not {shown(url)!r}")
    request = urllib.request.Request(url, headers={"User-Agent": "hajimi-build"})  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - checked above
            data: bytes = answer.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise Unusable(f"HAJIMI_SOURCE_URL ({shown(url)}) could not be fetched: {error}") from None
    if len(data) > MOST_BYTES:
        raise Unusable(f"HAJIMI_SOURCE_URL ({shown(url)}) is larger than {MOST_BYTES // 2**20} MB")
    return data


def check(data: bytes, sha256: str) -> None:
    """Raise Unusable unless ``data`` has the hash that was asked for; "" asks for none."""
    found = hashlib.sha256(data).hexdigest()
    if sha256 and found != sha256.strip().lower():
        raise Unusable(f"what was fetched has the sha256 {found}, not SOURCE_SHA256")


def unpacked(data: bytes, folder: Path) -> Path:
    """Unpack a tar.gz and return its one top folder. Raises Unusable."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            size = 0
            for member in archive:
                size += member.size
                if size > MOST_UNPACKED:
                    raise Unusable("what was fetched unpacks to more than a source can be")
                if member.isreg() or member.isdir():
                    _extract(archive, member, folder)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise Unusable(f"what was fetched is not a tar.gz that can be unpacked: {error}") from None
    found = list(folder.iterdir())
    if len(found) != 1 or not found[0].is_dir():
        raise Unusable("what was fetched must hold one top folder and nothing beside it")
    return found[0]


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    parts = Path(member.name).parts
    if member.name.startswith("/") or ".." in parts:
        raise Unusable(f"what was fetched has a file outside its folder: {member.name!r}")
    # Older Pythons of Debian have no filters yet.
    if hasattr(tarfile, "data_filter"):
        archive.extract(member, folder, filter="data")
    else:
        archive.extract(member, folder)


def place(source: Path, target: Path) -> None:
    """Copy what an image needs of ``source`` into ``target``. Raises Unusable when that is no hajimi."""
    if lacking := [name for name in NEEDED if not (source / name).is_file()]:
        raise Unusable(f"the source is no hajimi: it has no {lacking[0]}")
    version_of(source)
    for path in sorted(source.iterdir()):
        if path.name.startswith(".") or path.name in LEFT_OUT:
            continue
        if path.is_dir():
            shutil.copytree(path, target / path.name, dirs_exist_ok=True, symlinks=True)
        else:
            shutil.copyfile(path, target / path.name)


def version_of(source: Path) -> str:
    """Return the version that the source says it is. Raises Unusable when it says none."""
    text = (source / "hajimi_site/version.py").read_text(encoding="utf-8", errors="replace")
    found = re.search(r'^VERSION\b[^"\n]*"([\w.+-]+)"', text, re.MULTILINE)
    if found is None:
        raise Unusable("the source does not say which version of hajimi it is")
    return found[1]


def shown(url: str) -> str:
    """Return ``url`` without what may be secret in it: a name, a password, a query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


if __name__ == "__main__":
    try:
        main(
            Path(sys.argv[1]),
            Path(sys.argv[2]),
            os.environ.get("HAJIMI_SOURCE_URL", "").strip(),
            os.environ.get("SOURCE_SHA256", ""),
        )
    except Unusable as error:
        sys.exit(f"hajimi cannot be built: {error}.")
