"""The source of the single-file edition: python -m tests.image_source docker|buildah IMAGE SINGLE_FILE_IMAGE."""

from __future__ import annotations

import contextlib
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from hajimi_site.version import VERSION
from tests.image import engine_for
from tests.points import Points
from tools import single_file

BUILD = {
    "docker": ("docker", "build", "--network", "host", "--no-cache"),
    "buildah": ("buildah", "bud", "--isolation", "chroot", "--pull-never"),
}
NEWER = "999.1.2"


def newer_source() -> bytes:
    """Return a tar.gz as code hosts make them: one top folder, tests and all, of a version to come."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for path in [*single_file.files(), single_file.ROOT / "tests" / "__init__.py"]:
            name = path.relative_to(single_file.ROOT).as_posix()
            data = path.read_bytes()
            if name == "hajimi_site/version.py":
                data = data.replace(VERSION.encode(), NEWER.encode())
            entry = tarfile.TarInfo(f"hajimi-main/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return raw.getvalue()


@contextlib.contextmanager
def served(files: Mapping[str, bytes]) -> Iterator[str]:
    """Serve some files on a free port of this machine and yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = files.get(self.path.lstrip("/"))
            self.send_response(200 if data is not None else 404)
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def build(kind: str, folder: str, **arguments: str) -> tuple[int, str]:
    """Build the first stage alone; return the exit code and what it printed."""
    given = [part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")]
    command = [*BUILD[kind], "--target", "source", *given, "--tag", "localhost/hajimi:source", folder]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return run.returncode, run.stdout


def files_of(kind: str, image: str) -> list[str]:
    """Return the names of the files that the image has of us."""
    engine = engine_for(kind, image)
    try:
        return sorted(engine.files())
    finally:
        engine.close()


def check(kind: str, image: str, single: str, points: Points) -> None:
    """Show that the single-file edition holds the same files, and fetches when it is told to, or fails."""
    archive = newer_source()
    names = {"main.tar.gz": archive, "rubbish.tar.gz": b"<html>Not found</html>"}
    with tempfile.TemporaryDirectory() as folder, served(names) as address:
        (Path(folder) / "Dockerfile").write_text(single_file.text())
        with points.point("both images hold the same files of ours"):
            ours, carried = files_of(kind, image), files_of(kind, single)
            assert ours == carried, set(ours) ^ set(carried)
            assert "./manage.py" in ours
        with points.point("it says which version it carries"):
            code, printed = build(kind, folder)
            assert code == 0, printed
            assert f"hajimi {VERSION}, from the source that this file carries" in printed, printed
        with points.point("HAJIMI_SOURCE_URL brings a newer version"):
            url, sha256 = f"{address}/main.tar.gz", hashlib.sha256(archive).hexdigest()
            code, printed = build(kind, folder, HAJIMI_SOURCE_URL=url, SOURCE_SHA256=sha256)
            assert code == 0, printed
            assert f"hajimi {NEWER}, fetched from {url}" in printed, printed
        for name, sha256, sentence in (
            ("rubbish.tar.gz", "", "is not a tar.gz"),
            ("nothing.tar.gz", "", "could not be fetched"),
            ("main.tar.gz", "0" * 64, "not SOURCE_SHA256"),
        ):
            with points.point(f"a source that {sentence} fails the build"):
                code, printed = build(kind, folder, HAJIMI_SOURCE_URL=f"{address}/{name}", SOURCE_SHA256=sha256)
                assert code != 0
                assert sentence in printed, printed


def main(kind: str, image: str, single: str) -> int:
    points = Points()
    check(kind, image, single, points)
    return points.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
