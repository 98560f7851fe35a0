"""Images and sound as answers: what the client asks for, and how a model is asked for it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from proxy.translation import reading
from proxy.translation.families import Profile
from proxy.translation.invalid import Invalid, Term, _, shown
from proxy.translation.profiles import Resolved
from proxy.translation.reading import Document
from proxy.translation.turns import Chat, Voice

Modality = Literal["text", "image", "audio"]
MODALITIES: Final[dict[str, Modality]] = {"text": "text", "image": "image", "audio": "audio"}
# The sound that Gemini makes is raw; it can be wrapped, not encoded anew.
SOUNDS: Final = ("wav", "pcm16", "pcm")
DEFAULT_VOICE: Final = "Kore"

# ai.google.dev/gemini-api/docs/speech-generation#voices
VOICES: Final = (
    "Zephyr", "Puck", "Charon", "Kore", "Fenrir", "Leda", "Orus", "Aoede", "Callirrhoe", "Autonoe", "Enceladus",
    "Iapetus", "Umbriel", "Algieba", "Despina", "Erinome", "Algenib", "Rasalgethi", "Laomedeia", "Achernar", "Alnilam",
    "Schedar", "Gacrux", "Pulcherrima", "Achird", "Zubenelgenubi", "Vindemiatrix", "Sadachbia", "Sadaltager", "Sulafat",
)  # fmt: skip
# OpenAI's voices, each by one of Gemini's that sounds somewhat like it.
_THEIRS: Final = {
    "alloy": "Kore",
    "ash": "Orus",
    "ballad": "Algieba",
    "cedar": "Charon",
    "coral": "Aoede",
    "echo": "Iapetus",
    "fable": "Puck",
    "marin": "Sulafat",
    "nova": "Leda",
    "onyx": "Algenib",
    "sage": "Despina",
    "shimmer": "Zephyr",
    "verse": "Fenrir",
}
_BY_NAME: Final = {name.lower(): name for name in VOICES} | _THEIRS
_VOICE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")

_RATIO: Final = re.compile(r"\d{1,2}:\d{1,2}", re.ASCII)
_SIZES: Final = {"512": "512", "512px": "512", "1k": "1K", "2k": "2K", "4k": "4K"}


def read(document: Document) -> tuple[Modality, ...]:
    """Read ``modalities``; none when the client does not say."""
    found = []
    for index, value in enumerate(reading.items(document.get("modalities"), "modalities")):
        word = reading.one_of(value, f"modalities[{index}]", tuple(MODALITIES))
        found.append(MODALITIES[word or "text"])
    return tuple(dict.fromkeys(found))


def read_voice(document: Document) -> Voice | None:
    """Read ``audio``, which says how the answer shall sound; None when the client does not say."""
    if document.get("audio") is None:
        return None
    audio = reading.mapping(document["audio"], "audio")
    name = voice_named(audio.get("voice", DEFAULT_VOICE), "audio.voice")
    form = reading.one_of(audio.get("format"), "audio.format", SOUNDS) or "wav"
    return Voice(name, "pcm16" if form == "pcm" else form)


def voice_named(value: Any, place: str) -> str:
    """Return Gemini's name of a voice, which may be one of OpenAI's; names that are not known here pass as they are."""
    name = reading.text(value, place).strip()
    if not _VOICE_NAME.fullmatch(name):
        raise Invalid.at(place, _('%(param)s can not be "%(value)s"; it must name a voice.'), value=shown(name))
    return _BY_NAME.get(name.lower(), name)


def read_image_config(value: Any, place: str) -> Mapping[str, str] | None:
    """Read Google's ``image_config``: the shape and size of images that are made."""
    config = reading.mapping(value, place)
    found: dict[str, str] = {}
    ratio, ratio_at = _either(config, place, "aspect_ratio", "aspectRatio")
    if ratio is not None:
        if not _RATIO.fullmatch(ratio):
            raise Invalid.at(ratio_at, _('%(param)s can not be "%(value)s"; write it like 16:9.'), value=shown(ratio))
        found["aspectRatio"] = ratio
    size, size_at = _either(config, place, "image_size", "imageSize")
    if size is not None:
        if size.lower() not in _SIZES:
            sentence = _('%(param)s must be one of %(words)s, not "%(value)s".')
            raise Invalid.at(size_at, sentence, words=Term("512, 1K, 2K, 4K"), value=shown(size))
        found["imageSize"] = _SIZES[size.lower()]
    return found or None


def config(chat: Chat, resolved: Resolved) -> dict[str, Any]:
    """Return the fields of generationConfig that say what an answer is made of; Invalid when the model makes none."""
    profile = resolved.profile
    _check(chat, resolved)
    if profile.is_tts:
        return {"responseModalities": ["AUDIO"], "speechConfig": _speech(chat.voice)}
    if not profile.is_image:
        return {}
    only_images = chat.modalities == ("image",)
    return {
        "responseModalities": ["IMAGE"] if only_images else ["TEXT", "IMAGE"],
        "imageConfig": _image_config(chat, profile) or None,
    }


def _check(chat: Chat, resolved: Resolved) -> None:
    makes = {"text", *(["image"] if resolved.profile.is_image else []), *(["audio"] if resolved.profile.is_tts else [])}
    for word in chat.modalities:
        if word not in makes:
            sentence = _('The model "%(model)s" cannot answer with %(kind)s.')
            kind = Term("images" if word == "image" else "sound")
            raise Invalid(sentence, {"model": shown(resolved.name), "kind": kind}, param="modalities")


def _image_config(chat: Chat, profile: Profile) -> dict[str, str]:
    config = dict(chat.image_config or {})
    if not profile.image_sizes:
        config.pop("imageSize", None)
    return config


def _speech(voice: Voice | None) -> dict[str, Any]:
    name = voice.name if voice else DEFAULT_VOICE
    return {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": name}}}


def _either(config: Document, place: str, snake: str, camel: str) -> tuple[str | None, str]:
    name = snake if config.get(snake) is not None else camel
    return reading.optional_text(config.get(name), f"{place}.{name}"), f"{place}.{name}"
