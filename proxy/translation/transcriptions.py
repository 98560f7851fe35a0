"""OpenAI's transcriptions and translations -> what a Gemini model is asked, and the text back. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from proxy.translation import media, reading
from proxy.translation.deltas import Delta, TextDelta
from proxy.translation.dialects import model_name
from proxy.translation.invalid import Invalid, _, shown
from proxy.translation.profiles import Resolved
from proxy.translation.request import Options, build
from proxy.translation.turns import Chat, Inline, Link, Message, Role, Text
from proxy.translation.usage import Usage

# Silence would be an empty answer, which counts as none.
NOBODY: Final = "[nobody speaks]"
_TASKS: Final = {
    False: "Write down every word that is spoken in this recording, in the language in which it is spoken.",
    True: "Translate what is spoken in this recording into English.",
}
_ALONE: Final = f"Answer with that text alone, without remarks or time stamps. If there is no speech, answer {NOBODY}"
# Other names of sounds that Gemini knows by one: ai.google.dev/gemini-api/docs/audio#supported-formats
_SAME: Final = {
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/mpga": "audio/mpeg",
    "audio/x-mpeg": "audio/mpeg",
    "audio/x-m4a": "audio/m4a",
    "audio/mp4a-latm": "audio/m4a",
    "audio/x-flac": "audio/flac",
    "audio/x-aiff": "audio/aiff",
    "audio/x-aac": "audio/aac",
}
_FORMATS: Final = ("json", "text", "verbose_json", "srt", "vtt", "diarized_json")
_LONGEST_LANGUAGE: Final = 40


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a form, as it came. ``mime`` is what the client says of it."""

    name: str
    mime: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A recording to be written down, or to be translated into English. ``hint`` is the client's ``prompt``."""

    model: str
    recording: Inline
    into_english: bool = False
    language: str = ""
    hint: str = ""
    temperature: float | None = None
    as_text: bool = False


def parse(fields: Mapping[str, str], upload: Upload | None, *, into_english: bool = False) -> Wish:
    """Read the fields and the file of a form; any mistake of the client's is an Invalid naming the field.

    ``timestamp_granularities``, ``include`` and ``chunking_strategy`` are ignored.
    """
    if upload is None:
        raise Invalid.at("file", _("%(param)s is missing."))
    if (fields.get("stream") or "false").strip().lower() not in ("false", "0"):
        raise Invalid.at("stream", _("%(param)s is not possible here; the text comes whole."))
    return Wish(
        model=model_name(fields.get("model")),
        recording=_recording(upload),
        into_english=into_english,
        language=_language(fields.get("language")),
        hint=(reading.optional_text(fields.get("prompt"), "prompt") or "").strip(),
        temperature=_temperature(fields.get("temperature")),
        as_text=_form(fields.get("response_format")) == "text",
    )


def _language(value: str | None) -> str:
    language = (reading.optional_text(value, "language") or "").strip()
    letters = re.sub(r"[ _-]", "", language)
    if len(language) > _LONGEST_LANGUAGE or (language and not letters.isalnum()):
        raise Invalid.at("language", _('%(param)s can not be "%(value)s"; write it like en.'), value=shown(language))
    return language


def _recording(upload: Upload) -> Inline:
    mime = upload.mime.partition(";")[0].strip().lower()
    # A file whose kind the client does not tell has it in its name.
    link = Link(quote(re.sub(r"(?i)\.mpga$", ".mp3", upload.name), safe="", errors="replace"), place="file")
    found = media.fetched(link, _SAME.get(mime, mime), upload.content)
    if not found.mime.startswith(("audio/", "video/")):
        raise Invalid.at("file", _('%(param)s holds "%(value)s", which can not be heard.'), value=shown(found.mime))
    return found


def _temperature(value: str | None) -> float | None:
    if value is None or not value.strip():
        return None
    try:
        number = float(value)
    except ValueError:
        raise Invalid.at("temperature", _("%(param)s must be a number.")) from None
    return reading.number(number, "temperature", 0, 2)


def _form(value: str | None) -> str:
    form = reading.one_of(value or None, "response_format", _FORMATS) or "json"
    if form not in ("json", "text"):
        sentence = _('%(param)s can not be "%(value)s", since Gemini tells no times; it may be json or text.')
        raise Invalid.at("response_format", sentence, value=shown(form))
    return form


def body(wish: Wish, resolved: Resolved) -> dict[str, Any]:
    """Return the body that asks for the text. Invalid when the model only draws, speaks or measures."""
    if not resolved.profile.is_chat:
        sentence = _('The model "%(model)s" does not write down speech; choose one that chats.')
        raise Invalid(sentence, {"model": shown(wish.model)}, param="model")
    chat = Chat(
        model=wish.model,
        messages=(Message(Role.USER, (wish.recording, Text(_prompt(wish)))),),
        temperature=wish.temperature,
        # Listening takes no thoughts, which would cost time and tokens; a model's alias may still ask for them.
        reasoning_effort="none",
        include_thoughts=False,
    )
    return build(chat, resolved, Options())


def _prompt(wish: Wish) -> str:
    sentences = [_TASKS[wish.into_english]]
    if wish.language:
        sentences.append(f"The language that is spoken has the code {wish.language}.")
    if wish.hint:
        sentences.append(f"These words came before, or show how names are written:\n{wish.hint}\n\n")
    return " ".join([*sentences, _ALONE])


def text_of(deltas: Iterable[Delta]) -> str:
    """Return the transcript; '' when nobody speaks."""
    text = "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)).strip()
    return "" if text.rstrip(".") == NOBODY else text


def answer(text: str, usage: Usage) -> dict[str, Any]:
    """Return OpenAI's document of a transcript."""
    document: dict[str, Any] = {"text": text}
    if usage.total:
        document["usage"] = {
            "type": "tokens",
            "input_tokens": usage.prompt,
            "input_token_details": {
                "audio_tokens": usage.prompt_audio,
                "text_tokens": max(usage.prompt - usage.prompt_audio, 0),
            },
            "output_tokens": usage.completion,
            "total_tokens": usage.total,
        }
    return document
