"""The models the fake serves, as Google's list describes them, and how each of them thinks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

CHAT = ("generateContent", "countTokens", "createCachedContent", "batchGenerateContent")
EMBED = ("embedContent", "countTextTokens", "countTokens")


@dataclass(frozen=True)
class Model:
    """One model. ``thinks`` is how thinking is steered: "" (it does not think), "budget" or "level"."""

    name: str
    title: str
    methods: tuple[str, ...] = CHAT
    thinks: str = ""
    input_limit: int = 1_048_576
    output_limit: int = 65_536

    def document(self) -> dict[str, Any]:
        """Return the model's row in Google's list."""
        sampling = {"temperature": 1, "topP": 0.95, "topK": 64, "maxTemperature": 2} if self.methods is CHAT else {}
        return {
            "name": f"models/{self.name}",
            "version": "001",
            "displayName": self.title,
            "description": f"{self.title}, as the built-in simulator serves it",
            "inputTokenLimit": self.input_limit,
            "outputTokenLimit": self.output_limit,
            "supportedGenerationMethods": list(self.methods),
            **sampling,
            **({"thinking": True} if self.thinks else {}),
        }


MODELS: tuple[Model, ...] = (
    Model("embedding-001", "Embedding 001", EMBED, "", 2048, 1),
    Model("gemini-2.5-pro", "Gemini 2.5 Pro", CHAT, "budget"),
    Model("gemini-2.5-flash", "Gemini 2.5 Flash", CHAT, "budget"),
    Model("gemini-2.5-flash-lite", "Gemini 2.5 Flash-Lite", CHAT, "budget"),
    Model("gemini-2.5-flash-preview-tts", "Gemini 2.5 Flash Preview TTS", CHAT[:2], "", 8192, 16_384),
    Model("gemini-2.5-flash-image", "Nano Banana", CHAT[:2], "", 32_768, 32_768),
    Model("gemini-2.0-flash", "Gemini 2.0 Flash", CHAT, "", 1_048_576, 8192),
    Model("gemini-2.0-flash-001", "Gemini 2.0 Flash 001", CHAT, "", 1_048_576, 8192),
    Model("gemini-2.0-flash-lite", "Gemini 2.0 Flash-Lite", CHAT, "", 1_048_576, 8192),
    Model("gemini-3-pro-preview", "Gemini 3 Pro Preview", CHAT, "level"),
    Model("gemini-3-flash-preview", "Gemini 3 Flash Preview", CHAT, "level"),
    Model("gemini-3.1-pro-preview", "Gemini 3.1 Pro Preview", CHAT, "level"),
    Model("gemini-3.1-flash-lite", "Gemini 3.1 Flash-Lite", CHAT, "level"),
    Model("gemini-3.1-flash-lite-image", "Gemini 3.1 Flash-Lite Image", CHAT[:2], "", 65_536, 32_768),
    Model("gemini-3.5-flash", "Gemini 3.5 Flash", CHAT, "level"),
    Model("gemini-3.6-flash", "Gemini 3.6 Flash", CHAT, "level"),
    Model("gemini-3.8-flash", "Gemini 3.8 Flash", CHAT, "level"),
    Model("gemini-flash-latest", "Gemini Flash Latest", CHAT, "level"),
    Model("gemma-3-27b-it", "Gemma 3 27B", CHAT[:2], "", 131_072, 8192),
    Model("gemini-embedding-001", "Gemini Embedding 001", EMBED, "", 2048, 1),
    Model("gemini-embedding-2", "Gemini Embedding 2", EMBED, "", 8192, 1),
    Model("aqa", "Model that performs Attributed Question Answering.", ("generateAnswer",), "", 7168, 1024),
    Model("imagen-4.0-generate-001", "Imagen 4", ("predict",), "", 480, 8192),
    Model("veo-3.1-generate-preview", "Veo 3.1", ("predictLongRunning",), "", 480, 8192),
)

DEFAULT_PAGE, LARGEST_PAGE = 50, 1000


def find(models: Iterable[Model], name: str) -> Model | None:
    """Return the model of this name, or None."""
    return next((model for model in models if model.name == name.removeprefix("models/")), None)


def page(models: Iterable[Model], size: str, token: str) -> dict[str, Any]:
    """Return one page of the list: ``size`` and ``token`` as the query gave them ("" for none)."""
    rows = [model.document() for model in models]
    start = int(token) if token.isdigit() else 0
    end = start + min(int(size) if size.isdigit() and int(size) else DEFAULT_PAGE, LARGEST_PAGE)
    return {"models": rows[start:end]} | ({"nextPageToken": str(end)} if end < len(rows) else {})
