"""Images, video, audio and files of a chat: data URLs and base64 in, clean inline media or links out."""

from __future__ import annotations

import binascii
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from proxy.translation.invalid import Invalid, Term, _, shown
from proxy.translation.turns import Chat, Inline, Link, Part

# "images png/jpeg/webp/heic/heif only (gif/bmp/svg refused)": ai.google.dev/gemini-api/docs/image-understanding
_IMAGES: Final = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})
_SAME_IMAGE: Final = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
# Texts that Google knows by name; any other text goes as plain text.
_TEXTS: Final = frozenset({"text/plain", "text/html", "text/css", "text/csv", "text/xml", "text/rtf"})
_TEXT_IN_DISGUISE: Final = frozenset(
    {
        "application/json",
        "application/xml",
        "application/yaml",
        "application/x-yaml",
        "application/toml",
        "application/sql",
        "application/javascript",
        "application/x-javascript",
        "application/typescript",
        "application/x-python",
        "application/x-sh",
    }
)
_AUDIO_FORMATS: Final = {
    "wav": "audio/wav",
    "mp3": "audio/mp3",
    "aiff": "audio/aiff",
    "aac": "audio/aac",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "flac": "audio/flac",
    "m4a": "audio/m4a",
    "mp4": "audio/mp4",
    "webm": "audio/webm",
}
_EXTENSIONS: Final = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/plain",
    "json": "text/plain",
    "yaml": "text/plain",
    "yml": "text/plain",
    "py": "text/plain",
    "js": "text/plain",
    "html": "text/html",
    "css": "text/css",
    "csv": "text/csv",
    "xml": "text/xml",
    "rtf": "text/rtf",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "mov": "video/quicktime",
    "mpeg": "video/mpeg",
} | _AUDIO_FORMATS
_UNKNOWN_KIND: Final = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_MIME: Final = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]*")
_NOT_BASE64: Final = re.compile(r"\s+")
_URLSAFE: Final = str.maketrans("-_", "+/")
_LONGEST_HEAD: Final = 1000
# "The maximum size for inline data is 100 MB" (MAPPING, inline limit); base64 takes four letters for three bytes.
_MOST_MB: Final = 100
_MOST_BASE64: Final = _MOST_MB * 10**6 * 4 // 3
_LONGEST_LINK: Final = 8192

_YOUTUBE: Final = frozenset({"youtube.com", "www.youtube.com", "m.youtube.com", "music.youtube.com", "youtu.be"})
_FILE_SERVICE: Final = "generativelanguage.googleapis.com"


def from_url(url: str, place: str, *, detail: str | None = None, filename: str | None = None) -> Inline | Link:
    """Read a data URL into inline media, or a web address into a link; ``place`` names where it stands."""
    url = url.strip()
    if url[:5].lower() == "data:":
        mime, data = _open_data_url(url, place)
        return Inline(_accepted(mime, place, filename), data, detail)
    if len(url) > _LONGEST_LINK or not _is_web(url):
        raise Invalid.at(place, _("%(param)s must be a data URL or an http(s) address."))
    return Link(url, None, detail, place)


def audio(data: str, form: str, place: str) -> Inline | Link:
    """Read ``input_audio``: base64 (or a data URL) in one of the formats Gemini hears."""
    if data.strip()[:5].lower() == "data:":
        return from_url(data, f"{place}.data")
    mime = _AUDIO_FORMATS.get(form.strip().lower().removeprefix("audio/"))
    if mime is None:
        raise Invalid.at(
            f"{place}.format",
            _('%(param)s can not be "%(value)s"; use %(words)s.'),
            value=shown(form),
            words=Term(", ".join(_AUDIO_FORMATS)),
        )
    return Inline(mime, _clean_base64(data, f"{place}.data"))


def file(data: str, filename: str | None, place: str) -> Inline | Link:
    """Read ``file_data``: a data URL, an address, or bare base64 whose kind the file's name tells."""
    head = data.strip()[:8].lower()
    if head.startswith(("data:", "http://", "https://")):
        return from_url(data, place, filename=filename)
    mime = "application/pdf" if data.startswith("JVBERi") else ""
    return Inline(_accepted(mime, place, filename), _clean_base64(data, place))


def uploaded(file_id: str, mime: str | None, place: str) -> Link:
    """Read ``file_id``: a file of Google's file service, by its name (``files/...``) or its address."""
    file_id = file_id.strip()
    if re.fullmatch(r"files/[\w-]{1,100}", file_id, re.ASCII):
        return Link(f"https://{_FILE_SERVICE}/v1beta/{file_id}", mime, None, place)
    if len(file_id) <= _LONGEST_LINK and _is_web(file_id) and _host(file_id) == _FILE_SERVICE:
        return Link(file_id, mime, None, place)
    raise Invalid.at(place, _("%(param)s must name a file of Google's file service (files/...)."))


def fetched(link: Link, mime: str, content: bytes) -> Inline:
    """Return what was fetched for ``link`` as inline media, or refuse it, naming the place of the link."""
    kind = _accepted(mime.partition(";")[0].strip().lower(), link.place, urlsplit(link.url).path)
    if not content:
        raise Invalid.at(link.place, _("%(param)s is empty."))
    return Inline(kind, b64encode(content).decode("ascii"), link.detail)


def links(chat: Chat) -> list[Link]:
    """Return the links of a chat that must be fetched before it can be sent, each address once."""
    found = (part for message in chat.messages for part in message.parts if isinstance(part, Link))
    return list({link.url: link for link in found if not _goes_upstream(link.url)}.values())


def with_fetched(chat: Chat, media: Mapping[str, Inline]) -> Chat:
    """Return the chat with each link whose address is in ``media`` replaced by what was fetched."""

    def replaced(part: Part) -> Part:
        if isinstance(part, Link) and part.url in media:
            return replace(media[part.url], detail=part.detail)
        return part

    messages = (replace(message, parts=tuple(map(replaced, message.parts))) for message in chat.messages)
    return replace(chat, messages=tuple(messages))


def _goes_upstream(url: str) -> bool:
    host = _host(url)
    return host in _YOUTUBE or (host == _FILE_SERVICE and "/files/" in url)


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"[\s\x00-\x1f]", url)
    except ValueError:
        return False


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").rstrip(".")


def _open_data_url(url: str, place: str) -> tuple[str, str]:
    """Return kind and clean base64 of ``data:[mime][;parameters][;base64],data``."""
    comma = url.find(",", 5, _LONGEST_HEAD)
    if comma < 0:
        raise _broken(place)
    mime, *parameters = (word.strip().lower() for word in url[5:comma].split(";"))
    data = url[comma + 1 :]
    if "base64" in parameters:
        return mime or "text/plain", _clean_base64(data, place)
    content = unquote_to_bytes(data)
    if not content:
        raise _broken(place)
    return mime or "text/plain", b64encode(content).decode("ascii")


def _clean_base64(data: str, place: str) -> str:
    """Return standard, padded base64 from any of its spellings."""
    if len(data) > _MOST_BASE64:
        raise Invalid.at(place, _("%(param)s is larger than the %(limit)s MB that Gemini takes."), limit=_MOST_MB)
    # Megabytes come here that are almost always clean already: look before touching them.
    if data and _decodes(data):
        return data
    if "%" in data:
        data = unquote(data)
    data = _NOT_BASE64.sub("", data).translate(_URLSAFE).rstrip("=")
    data += "=" * (-len(data) % 4)
    if not data or not _decodes(data):
        raise _broken(place)
    return data


def _decodes(data: str) -> bool:
    try:
        binascii.a2b_base64(data, strict_mode=True)
    except ValueError:
        return False
    return True


def _accepted(mime: str, place: str, filename: str | None = None) -> str:
    """Return the kind Gemini takes this media as; ``filename`` tells where ``mime`` says nothing."""
    if mime in _UNKNOWN_KIND:
        extension = (filename or "").rpartition(".")[2].lower()
        mime = _EXTENSIONS.get(extension, mime)
    mime = _SAME_IMAGE.get(mime, mime)
    if mime in _IMAGES or mime in _TEXTS or mime == "application/pdf":
        return mime
    if mime.startswith("text/") or mime in _TEXT_IN_DISGUISE:
        return "text/plain"
    if mime.startswith(("audio/", "video/")) and _MIME.fullmatch(mime):
        return mime
    raise Invalid.at(
        place,
        _('%(param)s holds "%(value)s", which Gemini does not read; images may be PNG, JPEG, WebP, HEIC or HEIF.'),
        value=shown(mime or "unknown"),
    )


def _broken(place: str) -> Invalid:
    return Invalid.at(place, _("%(param)s is not valid base64 or a valid data URL."))
