"""OpenAI's images -> what Gemini's image models or Imagen are asked, and the images back. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from keys.rules import Outcome
from proxy.translation import reading
from proxy.translation.deltas import Delta, MediaDelta
from proxy.translation.dialects import model_name, name
from proxy.translation.extras import Extras
from proxy.translation.families import Profile
from proxy.translation.invalid import Invalid, Term, _, shown
from proxy.translation.profiles import Resolved
from proxy.translation.reading import Document
from proxy.translation.request import Options, build
from proxy.translation.turns import Chat, Message, Role, Text
from proxy.translation.usage import Usage

_MOST_IMAGES: Final = 10
_FORMATS: Final = ("png", "jpeg")
_PIXELS: Final = re.compile(r"([1-9]\d{1,4})x([1-9]\d{1,4})", re.ASCII)
_RATIO: Final = re.compile(r"([1-9]\d?):([1-9]\d?)", re.ASCII)
# From which longest side on an image is asked for larger than the 1K that models make unasked.
_LARGER: Final = ((3840, "4K"), (2048, "2K"))
_IMAGEN_LARGEST: Final = "2K"
_ALL_FILTERED: Final = "all images were filtered"
_LONGEST_REASON: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a client wants drawn. ``size`` is in pixels, ``config`` Google's own imageConfig, which wins over it.

    ``as_url`` asks for addresses, which are data URLs; ``form`` is "png" or "jpeg", None for what the model makes.
    """

    model: str
    prompt: str
    n: int = 1
    size: tuple[int, int] | None = None
    config: Mapping[str, str] | None = None
    as_url: bool = False
    form: str | None = None


def parse(document: object) -> Wish:
    """Read the JSON document of a request for images; any mistake of the client's is an Invalid.

    Fields that mean nothing to Gemini (quality, style, moderation, user ...) are ignored.
    """
    if not isinstance(document, dict):
        raise Invalid(_("The request body must be a JSON object."))
    if reading.flag(document.get("stream"), "stream"):
        raise Invalid.at("stream", _("%(param)s is not possible here; images come whole."))
    if document.get("background") == "transparent":
        raise Invalid.at("background", _("%(param)s can not be transparent; Gemini's images have none."))
    size, ratio = _size(document)
    shape = {"aspectRatio": ratio} if ratio else {}
    return Wish(
        model=model_name(document.get("model")),
        prompt=name(document.get("prompt"), "prompt"),
        n=reading.whole(document.get("n"), "n", 1, _MOST_IMAGES) or 1,
        size=size,
        config=shape | dict(Extras(document).image_config() or {}),
        as_url=reading.one_of(document.get("response_format"), "response_format", ("b64_json", "url")) == "url",
        form=reading.one_of(document.get("output_format"), "output_format", _FORMATS),
    )


def _size(document: Document) -> tuple[tuple[int, int] | None, str | None]:
    """Read ``size``: pixels (1024x1536), or a shape (2:3), which OpenAI does not know but people write."""
    text = (reading.optional_text(document.get("size"), "size") or "auto").strip().lower()
    if text == "auto":
        return None, None
    if pixels := _PIXELS.fullmatch(text):
        return (int(pixels[1]), int(pixels[2])), None
    if _RATIO.fullmatch(text):
        return None, text
    sentence = _('%(param)s must be written like %(words)s, not "%(value)s".')
    raise Invalid.at("size", sentence, words=Term("1024x1024"), value=shown(text))


def is_imagen(resolved: Resolved) -> bool:
    """Return whether a model is asked by predict, in place of generateContent."""
    return resolved.profile.family == "imagen"


def body(wish: Wish, resolved: Resolved) -> dict[str, Any]:
    """Return the body that asks for one image. Invalid when the model makes none."""
    if not resolved.profile.is_image:
        sentence = _('The model "%(model)s" does not make images.')
        raise Invalid(sentence, {"model": shown(wish.model)}, param="model")
    config = _shape(wish, resolved.profile)
    return _imagen_body(wish, config, resolved.profile) if is_imagen(resolved) else _gemini_body(wish, config, resolved)


def _shape(wish: Wish, profile: Profile) -> dict[str, str]:
    """Return shape and size as Google's imageConfig: the nearest shape that there is to the pixels asked for."""
    config = dict(wish.config or {})
    if wish.size is None:
        return config
    across, down = wish.size
    if profile.image_ratios:
        config.setdefault("aspectRatio", min(profile.image_ratios, key=lambda ratio: _distance(ratio, across / down)))
    larger = next((size for least, size in _LARGER if max(across, down) >= least), None)
    return {"imageSize": larger, **config} if larger else config


def _distance(ratio: str, wanted: float) -> float:
    """Return how far a shape is from ``wanted``, width by height: twice is as far as half."""
    across, _colon, down = ratio.partition(":")
    return abs(math.log(int(across) / int(down) / wanted))


def _gemini_body(wish: Wish, config: Mapping[str, str], resolved: Resolved) -> dict[str, Any]:
    prompt = Message(Role.USER, (Text(wish.prompt),))
    chat = Chat(model=wish.model, messages=(prompt,), image_config=config)
    return build(chat, resolved, Options())


def _imagen_body(wish: Wish, config: Mapping[str, str], profile: Profile) -> dict[str, Any]:
    size = config.get("imageSize") if profile.image_sizes else None
    parameters = {
        # Several images are several requests: each counts, and one that is withheld leaves the others.
        "sampleCount": 1,
        "aspectRatio": config.get("aspectRatio"),
        "sampleImageSize": _IMAGEN_LARGEST if size == "4K" else size,
        "includeRaiReason": True,
        "outputOptions": {"mimeType": f"image/{wish.form}"} if wish.form else None,
    }
    known = {field: value for field, value in parameters.items() if value is not None}
    return {"instances": [{"prompt": wish.prompt}], "parameters": known}


class PredictTranslator:
    """Reads Imagen's answer: its images, or why they were withheld. Google counts no tokens for them."""

    def __init__(self) -> None:
        self.visible = False
        self.ended = False
        self.usage = Usage()
        self.category = ""
        self.malformed = ""

    def feed(self, event: object) -> list[Delta]:
        """Return the images of an answer."""
        predictions = event.get("predictions") if isinstance(event, dict) else None
        rows = [row for row in predictions if isinstance(row, dict)] if isinstance(predictions, list) else []
        images = [image for row in rows if (image := _image(row))]
        self.ended, self.visible = True, bool(images)
        self.category = "" if images else _why(rows)
        return [*images]

    def finish(self) -> list[Delta]:
        """Return nothing more."""
        return []

    def outcome(self) -> Outcome:
        """Say how it ended; Google answers with nothing at all when it withholds everything."""
        return Outcome.ANSWERED if self.visible else Outcome.BLOCKED


def _image(row: dict[str, Any]) -> MediaDelta | None:
    data, mime = row.get("bytesBase64Encoded"), row.get("mimeType")
    if not isinstance(data, str) or not data:
        return None
    return MediaDelta(mime if isinstance(mime, str) and mime else "image/png", data)


def _why(rows: Iterable[dict[str, Any]]) -> str:
    reasons = (row.get("raiFilteredReason") for row in rows)
    found = next((reason for reason in reasons if isinstance(reason, str) and reason.strip()), _ALL_FILTERED)
    return found.strip().rstrip(".")[:_LONGEST_REASON]


def answer(deltas: Iterable[Delta], usage: Usage, wish: Wish, created: int) -> dict[str, Any]:
    """Return OpenAI's document of images, with the format that they are really in."""
    images = [delta for delta in deltas if isinstance(delta, MediaDelta) and delta.mime.startswith("image/")]
    document: dict[str, Any] = {"created": created, "data": [_row(image, wish.as_url) for image in images]}
    if images:
        document["output_format"] = images[0].mime.partition("/")[2]
    if usage.total:
        document["usage"] = _tokens(usage)
    return document


def _row(image: MediaDelta, as_url: bool) -> dict[str, str]:
    return {"url": f"data:{image.mime};base64,{image.data}"} if as_url else {"b64_json": image.data}


def _tokens(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"text_tokens": usage.prompt, "image_tokens": 0},
        "output_tokens": usage.completion,
        "total_tokens": usage.total,
    }
