"""The single-file edition: one text that holds all of hajimi, the same text each time, within what builders allow."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from hajimi_site.version import VERSION
from tests.image_source import newer_source, served
from tools import single_file, source

MAX_ARG_STRLEN = 128 * 1024
SCANNED_LINE = 64 * 1024


@pytest.fixture(scope="module")
def text() -> str:
    return single_file.text()


def runs_of(text: str) -> list[str]:
    """Return the instructions as the builder sees them: continued lines joined."""
    joined = text.replace("\\\n", "")
    return [line.removeprefix("RUN ") for line in joined.splitlines() if line.startswith("RUN ")]


def carried_archive(text: str) -> bytes:
    chunks = [re.fullmatch(r"printf %s '([A-Za-z0-9+/=]+)' >> text", run) for run in runs_of(text)]
    return base64.b64decode("".join(chunk[1] for chunk in chunks if chunk))


def test_the_same_source_makes_the_same_file(text: str) -> None:
    os.utime(single_file.ROOT / "manage.py")

    assert single_file.text() == text


def test_it_stays_within_what_builders_and_hosts_allow(text: str) -> None:
    assert len(text.encode()) < single_file.MOST_BYTES
    assert max(map(len, text.splitlines())) < SCANNED_LINE
    assert max(map(len, runs_of(text))) < MAX_ARG_STRLEN
    assert len(runs_of(text)) > 4
    assert text.isascii()


@pytest.mark.parametrize("name", ["hugging-face.md", "hugging-face.zh-CN.md"])
def test_the_documents_name_its_size(text: str, name: str) -> None:
    page = (single_file.ROOT / "docs" / name).read_text(encoding="utf-8")

    [told] = re.findall(r"(?:about|约) (\d+) kB", page)
    assert abs(int(told) * 1000 - len(text)) < 0.1 * len(text)


def test_it_needs_no_other_file_no_secret_and_no_heredoc(text: str) -> None:
    assert "<<" not in text
    assert "--mount" not in text
    assert not [line for line in text.splitlines() if re.match(r"(COPY|ADD) (?!--from=source )", line)]


def test_it_carries_every_file_that_runs(text: str) -> None:
    data = carried_archive(text)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:xz") as tar:
        carried = {name.removeprefix("hajimi/") for name in tar.getnames()}

    code = {
        path.relative_to(single_file.ROOT).as_posix()
        for folder in ("hajimi_site", "keys", "proxy", "templates", "locale")
        for path in (single_file.ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".po")
    }
    assert carried == code | {"manage.py", "requirements.txt", "LICENSE", "tools/source.py"}
    assert f"echo '{hashlib.sha256(data).hexdigest()}  archive'" in text


def test_beside_its_source_it_is_the_repositorys_dockerfile(text: str) -> None:
    original = (single_file.ROOT / "Dockerfile").read_text().splitlines()

    missing = [line for line in original if line not in text.splitlines()]

    assert all(line.startswith("COPY ") for line in missing)
    assert len(missing) == 2


def test_make_single_file_writes_the_address_it_is_given_and_refuses_one_that_could_run_something(
    tmp_path: Path,
) -> None:
    def make(url: str, sha256: str = "") -> subprocess.CompletedProcess[str]:
        options = ["--source-url", url, "--source-sha256", sha256, "--output", str(tmp_path / "Dockerfile")]
        command = [sys.executable, "tools/single_file.py", *options]
        return subprocess.run(command, cwd=single_file.ROOT, capture_output=True, text=True, check=False)

    assert make("https://code.example/main.tar.gz", "ab" * 32).returncode == 0
    written = (tmp_path / "Dockerfile").read_text()
    assert 'ARG HAJIMI_SOURCE_URL="https://code.example/main.tar.gz"\n' in written
    assert f'ARG SOURCE_SHA256="{"ab" * 32}"\n' in written
    for url in ('https://x/"$(id)', "https://x/a b", "file:///etc/passwd", "https://x/\nRUN id"):
        assert make(url).returncode == 1
    assert make("https://x/a.tar.gz", "short").returncode == 1


# While it is built.


def built(target: Path, url: str = "", sha256: str = "", carried: Path = single_file.ROOT) -> str:
    """Run the first stage's last step and return what it printed."""
    target.mkdir()
    environment = {**os.environ, "HAJIMI_SOURCE_URL": url, "SOURCE_SHA256": sha256}
    run = subprocess.run(
        [sys.executable, "tools/source.py", str(carried), str(target)],
        cwd=single_file.ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout if run.returncode == 0 else run.stderr


def packed(*names: str, content: bytes = b'VERSION: Final = "1.0.0"\n') -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return raw.getvalue()


WHOLE = ("top/manage.py", "top/requirements.txt", "top/hajimi_site/version.py")


def test_without_an_address_it_builds_what_it_carries(tmp_path: Path) -> None:
    printed = built(tmp_path / "source")

    assert printed == f"hajimi {VERSION}, from the source that this file carries\n"
    assert (tmp_path / "source" / "proxy" / "relay.py").exists()
    assert not (tmp_path / "source" / "tests").exists()
    assert not (tmp_path / "source" / ".git").exists()


def test_with_an_address_it_builds_what_stands_there_and_says_so(tmp_path: Path) -> None:
    data = newer_source()
    with served({"main.tar.gz": data}) as address:
        url = address.replace("//", "//name:secret@") + "/main.tar.gz?token=secret"
        plain = built(tmp_path / "plain", f"{address}/main.tar.gz")
        checked = built(tmp_path / "checked", f"{address}/main.tar.gz", hashlib.sha256(data).hexdigest().upper())

        assert plain == checked
        assert plain.startswith(f"hajimi 999.1.2, fetched from {address}/main.tar.gz (sha256 ")
        assert source.shown(url) == f"{address}/main.tar.gz"
    assert (tmp_path / "plain" / "manage.py").read_bytes() == (single_file.ROOT / "manage.py").read_bytes()
    assert not (tmp_path / "plain" / "tests").exists()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"<html>Sign in</html>", "is not a tar.gz"),
        (packed(*WHOLE)[:-40], "is not a tar.gz"),
        (packed(*WHOLE, "beside/x.py"), "one top folder"),
        (packed("manage.py"), "one top folder"),
        (packed("top/manage.py", "top/requirements.txt"), "no hajimi: it has no hajimi_site/version.py"),
        (packed(*WHOLE, content=b"x = 1\n"), "does not say which version"),
        (packed(*WHOLE, "../outside.py"), "a file outside its folder"),
        (packed(*WHOLE, "/etc/outside.py"), "a file outside its folder"),
    ],
)
def test_rubbish_ends_the_build_with_one_sentence(tmp_path: Path, data: bytes, sentence: str) -> None:
    with served({"x.tar.gz": data}) as address:
        said = built(tmp_path / "source", f"{address}/x.tar.gz")

    assert sentence in said
    assert said.startswith("hajimi cannot be built: ")
    assert said.count("\n") == 1
    assert list((tmp_path / "source").iterdir()) == []


def test_a_wrong_hash_a_missing_file_and_a_strange_address_end_it_too(tmp_path: Path) -> None:
    with served({"x.tar.gz": packed(*WHOLE)}) as address:
        assert "not SOURCE_SHA256" in built(tmp_path / "1", f"{address}/x.tar.gz", "0" * 64)
        assert "could not be fetched" in built(tmp_path / "2", f"{address}/y.tar.gz")
    assert "must begin with https://" in built(tmp_path / "3", "file:///etc/passwd")
