"""What clients ask of Gemini beyond OpenAI's fields: thinking, safety settings, caches, search, images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from proxy.translation import modalities, reading
from proxy.translation.families import LEVELS
from proxy.translation.invalid import Invalid, _
from proxy.translation.reading import Document

INT32: Final = 2**31 - 1


def _spellings(name: str) -> tuple[str, ...]:
    head, *rest = name.split("_")
    return name, head + "".join(word.capitalize() for word in rest)


_SPELLINGS: Final = {
    name: _spellings(name)
    for name in (
        "thinking_config",
        "thinking_budget",
        "thinking_level",
        "include_thoughts",
        "reasoning_effort",
        "safety_settings",
        "cached_content",
        "web_search_options",
        "image_config",
        "top_k",
    )
}
_ALL_SPELLINGS: Final = frozenset(chain.from_iterable(_SPELLINGS.values()))


@dataclass(frozen=True, slots=True)
class Thinking:
    """How the client wants the model to think; None where it did not say."""

    budget: int | None = None
    level: str | None = None
    include: bool | None = None


class Extras:
    """Finds Google's own fields wherever a client puts them.

    Google documents them inside ``extra_body.google``; its SDKs put the keys of ``extra_body`` at the root of
    the request, and clients with a free-form body put them at the root by themselves. The deepest place wins.
    """

    def __init__(self, document: Document) -> None:
        body = reading.mapping(document.get("extra_body"), "extra_body")
        places = (
            ("extra_body.google.", reading.mapping(body.get("google"), "extra_body.google")),
            ("google.", reading.mapping(document.get("google"), "google")),
            ("extra_body.", body),
            ("", document),
        )
        # Most requests ask for none of these: then nothing is looked for.
        self._places = tuple(
            (prefix, fields) for prefix, fields in places if any(map(fields.__contains__, _ALL_SPELLINGS))
        )

    def find(self, name: str) -> tuple[Any, str]:
        """Return the first value set under ``name`` (one of the names above) and its place."""
        for prefix, fields in self._places:
            value, written = _either(fields, name)
            if value is not None:
                return value, prefix + written
        return None, name

    def thinking(self) -> Thinking:
        """Read ``thinking_config``, and its fields where they stand alone."""
        value, place = self.find("thinking_config")
        config = reading.mapping(value, place)

        def field(name: str) -> tuple[Any, str]:
            value, written = _either(config, name)
            return (value, f"{place}.{written}") if value is not None else self.find(name)

        return Thinking(
            reading.whole(*field("thinking_budget"), -1, INT32),
            reading.one_of(*field("thinking_level"), LEVELS),
            None if (include := field("include_thoughts"))[0] is None else reading.flag(*include),
        )

    def safety_settings(self) -> tuple[dict[str, Any], ...] | None:
        """Read ``safety_settings``; None when the client leaves them to us."""
        value, place = self.find("safety_settings")
        if value is None:
            return None
        return tuple(_safety(each, f"{place}[{index}]") for index, each in enumerate(reading.items(value, place)))

    def top_k(self) -> int | None:
        """Read ``top_k``; 0 means no limit, which is the same as unset."""
        return reading.whole(*self.find("top_k"), 0, INT32) or None

    def cached_content(self) -> str | None:
        """Read the name of a cache that the client made before."""
        value, place = self.find("cached_content")
        name = reading.optional_text(value, place)
        if name is not None and not name.startswith("cachedContents/"):
            raise Invalid.at(place, _('%(param)s must begin with "cachedContents/".'))
        return name

    def image_config(self) -> Mapping[str, str] | None:
        """Read how images shall be made."""
        return modalities.read_image_config(*self.find("image_config"))

    def web_search(self) -> str:
        """Return where the client turned web search on, '' if it did not."""
        value, place = self.find("web_search_options")
        if isinstance(value, bool):
            return place if value else ""
        reading.mapping(value, place)
        return "" if value is None else place


def _either(fields: Document, name: str) -> tuple[Any, str]:
    """Return the value under the snake_case spelling of a name, or the camelCase one, and the spelling."""
    for spelling in _SPELLINGS[name]:
        value = fields.get(spelling)
        if value is not None:
            return value, spelling
    return None, name


def _safety(value: Any, place: str) -> dict[str, str]:
    setting = reading.mapping(value, place)
    return {
        "category": reading.text(setting.get("category"), f"{place}.category"),
        "threshold": reading.text(setting.get("threshold"), f"{place}.threshold"),
    }
