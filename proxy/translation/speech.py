"""OpenAI's speech -> what Gemini's TTS models are asked, and the sound back. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from proxy.translation import reading, sound
from proxy.translation.deltas import Delta, MediaDelta
from proxy.translation.dialects import model_name, name
from proxy.translation.invalid import Invalid, _, shown
from proxy.translation.modalities import DEFAULT_VOICE, voice_named
from proxy.translation.profiles import Resolved
from proxy.translation.reading import Document
from proxy.translation.request import Options, build
from proxy.translation.turns import Chat, Message, Role, Text, Voice

_FORMATS: Final = ("wav", "pcm")
_ENCODED: Final = ("mp3", "opus", "aac", "flac")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a client wants spoken. ``style`` says how, in words; ``bare`` asks for samples without a header."""

    model: str
    text: str
    voice: str = DEFAULT_VOICE
    style: str = ""
    bare: bool = False


def parse(document: object) -> Wish:
    """Read the JSON document of a request for speech; any mistake of the client's is an Invalid."""
    if not isinstance(document, dict):
        raise Invalid(_("The request body must be a JSON object."))
    if reading.number(document.get("speed"), "speed", 0.25, 4) not in (None, 1):
        raise Invalid.at("speed", _("%(param)s can not be set; say in instructions how fast to speak."))
    if reading.one_of(document.get("stream_format"), "stream_format", ("audio", "sse")) == "sse":
        raise Invalid.at("stream_format", _("%(param)s can not be sse; the sound comes whole."))
    text = name(document.get("input"), "input")
    if not text.strip():
        raise Invalid.at("input", _("%(param)s is empty."))
    return Wish(
        model=model_name(document.get("model")),
        text=text,
        voice=_voice(document.get("voice")),
        style=(reading.optional_text(document.get("instructions"), "instructions") or "").strip(),
        bare=_form(document) == "pcm",
    )


def _voice(value: Any) -> str:
    if value is None:
        return DEFAULT_VOICE
    if isinstance(value, dict):
        # OpenAI's form of a voice that somebody made.
        return voice_named(value.get("id"), "voice.id")
    return voice_named(value, "voice")


def _form(document: Document) -> str:
    form = reading.one_of(document.get("response_format"), "response_format", (*_FORMATS, *_ENCODED)) or "wav"
    if form in _ENCODED:
        sentence = _('%(param)s can not be "%(value)s"; Gemini makes sound that is not compressed: wav or pcm.')
        raise Invalid.at("response_format", sentence, value=shown(form))
    return form


def body(wish: Wish, resolved: Resolved) -> dict[str, Any]:
    """Return the body that asks for the sound. Invalid when the model does not speak."""
    if not resolved.profile.is_tts:
        sentence = _('The model "%(model)s" does not speak; choose one with "tts" in its name.')
        raise Invalid(sentence, {"model": shown(wish.model)}, param="model")
    prompt = Message(Role.USER, (Text(_prompt(wish)),))
    return build(Chat(model=wish.model, messages=(prompt,), voice=Voice(wish.voice)), resolved, Options())


def _prompt(wish: Wish) -> str:
    """Return the text to speak after how to speak it: "Say cheerfully: Have a wonderful day!"."""
    style = wish.style.rstrip(" .:!\n")
    return f"{style}:\n{wish.text}" if style else wish.text


def answer(deltas: Iterable[Delta], *, bare: bool) -> tuple[bytes, str]:
    """Return a file of sound and its mime type: 16 bit, one channel, at Gemini's own rate of 24 kHz."""
    pieces = [delta for delta in deltas if isinstance(delta, MediaDelta) and delta.mime.startswith("audio/")]
    samples = b"".join(sound.raw(piece.data) for piece in pieces)
    mime = pieces[0].mime if pieces else ""
    if not sound.is_pcm(mime):
        return samples, mime
    if bare:
        return samples, "audio/pcm"
    return sound.wav_header(sound.rate_of(mime), len(samples)) + samples, "audio/wav"
