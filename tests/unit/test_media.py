"""Media of a chat: data URLs, audio, files, and links to be fetched."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.translation import media
from proxy.translation.chat import Chat, Inline, Link, Message, Part, Role, Text, parse
from proxy.translation.invalid import Invalid
from tests.hostile import GOOD_TIME

BYTES = bytes(range(250, 256)) * 3
CLEAN = base64.b64encode(BYTES).decode()
PLACE = "messages[0].content[0]"


def part_of(part: dict[str, Any]) -> Part:
    chat = parse({"model": "m", "messages": [{"role": "user", "content": [part]}]})
    return chat.messages[0].parts[0]


def image(url: str) -> Part:
    return part_of({"type": "image_url", "image_url": {"url": url}})


def refused(part: dict[str, Any]) -> str | None:
    with pytest.raises(Invalid) as caught:
        part_of(part)
    return caught.value.param


@pytest.mark.parametrize(
    "url",
    [
        f"data:image/png;base64,{CLEAN}",
        f"DATA:image/PNG;base64,{CLEAN}",
        f"data:image/png;name=a.png;base64,{CLEAN}",
        f"  data:image/png;base64,{CLEAN[:7]}\n {CLEAN[7:]}  ",
        "data:image/png;base64," + base64.urlsafe_b64encode(BYTES).decode(),
        "data:image/png;base64," + CLEAN.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
        f"data:image/png;base64,{CLEAN.rstrip('=')}",
    ],
)
def test_it_cleans_every_spelling_of_base64(url: str) -> None:
    assert image(url) == Inline("image/png", CLEAN)


def test_it_encodes_a_data_url_without_base64() -> None:
    assert image("data:text/plain,a%20b") == Inline("text/plain", base64.b64encode(b"a b").decode())


@pytest.mark.parametrize(
    ("mime", "sent"),
    [
        ("image/png", "image/png"),
        ("image/jpeg", "image/jpeg"),
        ("image/jpg", "image/jpeg"),
        ("image/webp", "image/webp"),
        ("image/heic", "image/heic"),
        ("image/heif", "image/heif"),
        ("video/mp4", "video/mp4"),
        ("audio/mpeg", "audio/mpeg"),
        ("application/pdf", "application/pdf"),
        ("text/markdown", "text/plain"),
        ("application/json", "text/plain"),
    ],
)
def test_it_sends_the_kinds_that_gemini_reads(mime: str, sent: str) -> None:
    assert image(f"data:{mime};base64,{CLEAN}") == Inline(sent, CLEAN)


@pytest.mark.parametrize("mime", ["image/gif", "image/bmp", "image/svg+xml", "application/zip", "rubbish", "a/b/c"])
def test_it_refuses_other_kinds_naming_the_place(mime: str) -> None:
    url = f"data:{mime};base64,{CLEAN}"

    assert refused({"type": "image_url", "image_url": {"url": url}}) == f"{PLACE}.image_url"


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64,",
        "data:image/png;base64,%%%",
        "data:image/png;base64,A",
        "data:image/png;base64,äöü",
        "data:image/png;base64",
        "data:",
        "data:" + "a" * 5000 + ",x",
        "ftp://example.com/a.png",
        "file:///etc/passwd",
        "gs://bucket/a.png",
        "javascript:alert(1)",
        "http://",
        "http://[",
        "https://exa mple.com/a.png",
        "https://example.com/" + "a" * 9000,
        "iVBORw0KGgo=",
        "",
    ],
)
def test_it_refuses_broken_data_and_other_schemes(url: str) -> None:
    assert refused({"type": "image_url", "image_url": {"url": url}}) == f"{PLACE}.image_url"


def test_it_reads_the_forms_clients_send() -> None:
    url = f"data:image/png;base64,{CLEAN}"

    assert part_of({"type": "image_url", "image_url": url}) == Inline("image/png", CLEAN)
    assert part_of({"type": "image_url", "image_url": {"url": url, "detail": "low"}}) == Inline(
        "image/png", CLEAN, "low"
    )
    assert part_of({"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{CLEAN}"}}) == Inline(
        "video/mp4", CLEAN
    )


@pytest.mark.parametrize(
    ("form", "mime"), [("wav", "audio/wav"), ("mp3", "audio/mp3"), ("FLAC", "audio/flac"), ("audio/ogg", "audio/ogg")]
)
def test_it_reads_audio(form: str, mime: str) -> None:
    part = {"type": "input_audio", "input_audio": {"data": CLEAN, "format": form}}

    assert part_of(part) == Inline(mime, CLEAN)


def test_it_reads_audio_in_a_data_url() -> None:
    part = {"type": "input_audio", "input_audio": {"data": f"data:audio/wav;base64,{CLEAN}", "format": "wav"}}

    assert part_of(part) == Inline("audio/wav", CLEAN)


@pytest.mark.parametrize(
    ("audio", "param"),
    [
        ({"data": CLEAN, "format": "midi"}, ".format"),
        ({"data": "?", "format": "wav"}, ".data"),
        ({"data": 5, "format": "wav"}, ".data"),
        ({"format": "wav"}, ".data"),
        ({"data": CLEAN, "format": 1}, ".format"),
        ("wav", ""),
    ],
)
def test_it_refuses_bad_audio(audio: Any, param: str) -> None:
    assert refused({"type": "input_audio", "input_audio": audio}) == f"{PLACE}.input_audio{param}"


@pytest.mark.parametrize(
    ("file", "mime"),
    [
        ({"file_data": f"data:application/pdf;base64,{CLEAN}"}, "application/pdf"),
        ({"file_data": f"data:application/octet-stream;base64,{CLEAN}", "filename": "a.PDF"}, "application/pdf"),
        ({"file_data": CLEAN, "filename": "notes.md"}, "text/plain"),
        ({"file_data": CLEAN, "filename": "table.csv"}, "text/csv"),
        ({"file_data": CLEAN, "filename": "photo.jpg"}, "image/jpeg"),
    ],
)
def test_it_reads_files(file: dict[str, str], mime: str) -> None:
    assert part_of({"type": "file", "file": file}) == Inline(mime, CLEAN)


def test_it_knows_a_pdf_by_its_first_bytes() -> None:
    data = base64.b64encode(b"%PDF-1.7 ...").decode()

    assert part_of({"type": "file", "file": {"file_data": data}}) == Inline("application/pdf", data)


@pytest.mark.parametrize(
    ("file", "param"),
    [
        ({"file_data": CLEAN}, ".file_data"),
        ({"file_data": CLEAN, "filename": "a.exe"}, ".file_data"),
        ({"file_data": "!", "filename": "a.pdf"}, ".file_data"),
        ({"file_id": "file-abc123"}, ".file_id"),
        ({"file_id": "https://example.com/files/x"}, ".file_id"),
        ({}, ".file_data"),
        ("x", ""),
    ],
)
def test_it_refuses_bad_files(file: Any, param: str) -> None:
    assert refused({"type": "file", "file": file}) == f"{PLACE}.file{param}"


def test_it_links_files_of_googles_service() -> None:
    address = "https://generativelanguage.googleapis.com/v1beta/files/abc-123"

    by_name = part_of({"type": "file", "file": {"file_id": "files/abc-123", "format": "application/pdf"}})
    by_address = part_of({"type": "file", "file": {"file_id": address}})

    assert by_name == Link(address, "application/pdf", None, f"{PLACE}.file.file_id")
    assert by_address == Link(address, None, None, f"{PLACE}.file.file_id")


@pytest.mark.parametrize(
    ("url", "must_be_fetched"),
    [
        ("https://www.youtube.com/watch?v=abc", False),
        ("https://youtu.be/abc", False),
        ("https://generativelanguage.googleapis.com/v1beta/files/abc", False),
        ("https://generativelanguage.googleapis.com/v1beta/models", True),
        ("https://example.com/a.png", True),
        ("http://youtube.com.evil.example/a.png", True),
        ("https://youtu.be@example.com/a.png", True),
    ],
)
def test_it_knows_which_links_google_opens_itself(url: str, must_be_fetched: bool) -> None:
    chat = Chat(model="m", messages=(Message(Role.USER, (image(url),)),))

    assert [link.url for link in media.links(chat)] == [url] * must_be_fetched


def test_it_replaces_links_by_what_was_fetched() -> None:
    here = Link("https://example.com/a.png", None, "low", f"{PLACE}.image_url")
    there = Link("https://example.com/b.png")
    chat = Chat(
        model="m",
        messages=(
            Message(Role.USER, (Text("look"), here, there)),
            Message(Role.USER, (here,)),
        ),
    )

    assert [link.url for link in media.links(chat)] == [here.url, there.url]
    after = media.with_fetched(chat, {here.url: Inline("image/png", CLEAN)})

    assert after.messages[0].parts == (Text("look"), Inline("image/png", CLEAN, "low"), there)
    assert after.messages[1].parts == (Inline("image/png", CLEAN, "low"),)


def test_it_checks_what_was_fetched() -> None:
    link = Link("https://example.com/a.png?x=1", None, "high", "there")

    assert media.fetched(link, "image/png; q=1", BYTES) == Inline("image/png", CLEAN, "high")
    assert media.fetched(link, "application/octet-stream", BYTES).mime == "image/png"
    for mime, content in (("text/html+svg", b""), ("image/gif", BYTES), ("image/png", b"")):
        with pytest.raises(Invalid) as caught:
            media.fetched(link, mime, content)
        assert caught.value.param == "there"


@given(st.binary(min_size=1), st.booleans(), st.sampled_from(["", "\n", " "]))
def test_any_bytes_survive(content: bytes, urlsafe: bool, gap: str) -> None:
    encoded = (base64.urlsafe_b64encode if urlsafe else base64.b64encode)(content).decode()

    part = image("data:image/png;base64," + gap.join(encoded))

    assert isinstance(part, Inline)
    assert base64.b64decode(part.data, validate=True) == content


def test_megabytes_are_read_in_good_time() -> None:
    data = base64.b64encode(bytes(12_000_000)).decode()

    began = time.process_time()
    assert image(f"data:image/png;base64,{data}") == Inline("image/png", data)

    assert time.process_time() - began < GOOD_TIME


def test_it_refuses_more_than_gemini_takes_in_a_request_and_names_the_place() -> None:
    with pytest.raises(Invalid) as refused:
        media.from_url("data:application/pdf;base64," + "A" * 134_000_000, "messages[3].content[1].file")

    assert refused.value.param == "messages[3].content[1].file"
