"""Writes dist/Dockerfile, the single-file edition: one text file that builds hajimi where nothing else can be uploaded.

    make single-file
    make single-file SOURCE_URL=https://.../main.tar.gz [SOURCE_SHA256=...]

It is the Dockerfile of the repository, with its COPYs from the folder replaced by a first stage that holds the source,
compressed, as text. The same source makes the same file, byte for byte.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import lzma
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
TARGET: Final = ROOT / "dist" / "Dockerfile"
# What the image takes; .dockerignore says the same from the other side, and `make image-check` compares the two images.
CARRIED: Final = ("manage.py", "requirements.txt", "LICENSE", "hajimi_site", "keys", "proxy", "locale", "templates")
UNPACKER: Final = "tools/source.py"
SUFFIXES_LEFT_OUT: Final = (".pyc", ".pyo", ".po")
# Each RUN reaches the shell as one argument, which Linux caps at 128 KiB; a line of a Dockerfile may have 64 KiB.
CHUNK: Final = 96 * 1024
LINE: Final = 4096
MOST_BYTES: Final = 10 * 1000 * 1000

HEAD: Final = """\
# hajimi {version}, the single-file edition. This file is all that a container host needs: upload it as "Dockerfile".
# It carries its own source, as the text further down (sha256 of the archive: {sha256}).
# With the build variable HAJIMI_SOURCE_URL set (a tar.gz with one top folder), that source is fetched and built
# instead, so that building again without a cache updates to the newest; SOURCE_SHA256, optional, is its hash.
# Made by `make single-file`; changes belong in the repository.
# hadolint global ignore=DL3059
FROM {base} AS source
WORKDIR /carried
"""
TAIL: Final = """\
RUN base64 -d text > archive && echo '{sha256}  archive' > sum && sha256sum -c sum && \\
    python -m tarfile -e archive .
ARG HAJIMI_SOURCE_URL="{url}"
ARG SOURCE_SHA256="{url_sha256}"
RUN mkdir /source && python hajimi/{unpacker} hajimi /source

"""


def text(url: str = "", url_sha256: str = "", root: Path = ROOT) -> str:
    """Return the whole file. ``url`` becomes the default of HAJIMI_SOURCE_URL, ``url_sha256`` of SOURCE_SHA256."""
    data = archive(root)
    dockerfile = (root / "Dockerfile").read_text(encoding="utf-8")
    values = {
        "version": _version(root),
        "base": re.findall(r"^FROM (\S+)$", dockerfile, re.MULTILINE)[0],
        "sha256": hashlib.sha256(data).hexdigest(),
        "unpacker": UNPACKER,
        "url": url,
        "url_sha256": url_sha256,
    }
    return HEAD.format(**values) + "".join(_carrying(data)) + TAIL.format(**values) + _from_the_stage(dockerfile)


def archive(root: Path = ROOT) -> bytes:
    """Return the carried source as a tar.xz: no dates, no owners, one order."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in files(root):
            data = path.read_bytes()
            entry = tarfile.TarInfo(f"hajimi/{path.relative_to(root).as_posix()}")
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return lzma.compress(raw.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def files(root: Path = ROOT) -> list[Path]:
    """Return every file that is carried, in one order."""
    found = {root / UNPACKER}
    for name in CARRIED:
        path = root / name
        found |= {path} if path.is_file() else {inner for inner in path.rglob("*") if inner.is_file()}
    kept = (path for path in found if path.suffix not in SUFFIXES_LEFT_OUT and "__pycache__" not in path.parts)
    return sorted(kept, key=lambda path: path.relative_to(root).as_posix())


def _carrying(data: bytes) -> Iterator[str]:
    encoded = base64.b64encode(data).decode("ascii")
    for begin in range(0, len(encoded), CHUNK):
        chunk = encoded[begin : begin + CHUNK]
        lines = "\\\n".join(chunk[at : at + LINE] for at in range(0, len(chunk), LINE))
        yield f"RUN printf %s '\\\n{lines}' >> text\n"


def _from_the_stage(dockerfile: str) -> str:
    """Return the repository's Dockerfile with the first stage in the place of the folder it is built in."""
    return re.sub(r"^COPY (\S+) \./$|^COPY \. \.$", _copy, dockerfile, flags=re.MULTILINE)


def _copy(line: re.Match[str]) -> str:
    return f"COPY --from=source /source/{line[1]} ./" if line[1] else "COPY --from=source /source/ ./"


def _version(root: Path) -> str:
    source = (root / "hajimi_site" / "version.py").read_text(encoding="utf-8")
    return str(re.findall(r'^VERSION\b.*"(.+)"$', source, re.MULTILINE)[0])


def main() -> int:
    """Write the file; return 1 when it became too large or a value cannot stand in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source-url", default="", help="the default of HAJIMI_SOURCE_URL")
    parser.add_argument("--source-sha256", default="", help="the default of SOURCE_SHA256")
    parser.add_argument("--output", type=Path, default=TARGET)
    options = parser.parse_args()
    if options.source_url and not re.fullmatch(r"https?://[\w.~:/?#@!&+,;=%-]+", options.source_url):
        print("SOURCE_URL must be an address like https://host/path.tar.gz, without quotes, spaces or $.")
        return 1
    if options.source_sha256 and not re.fullmatch(r"[0-9a-fA-F]{64}", options.source_sha256):
        print("SOURCE_SHA256 must be 64 hexadecimal digits.")
        return 1
    written = text(options.source_url, options.source_sha256).encode()
    if len(written) > MOST_BYTES:
        print(f"The file would have {len(written)} bytes; a Space takes a text of {MOST_BYTES} at most.")
        return 1
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_bytes(written)
    print(f"{options.output}: hajimi {_version(ROOT)}, {len(written) // 1000} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
