"""The one table of facts about model families: what each takes, refuses and how it thinks.

Sources, as marked in the rows: ai.google.dev's pages on models, thinking and safety, Google's discovery
document of v1beta, and the answers of the live service as people quoted them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal

Level = Literal["minimal", "low", "medium", "high"]
LEVELS: Final[tuple[Level, ...]] = ("minimal", "low", "medium", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a model family takes and how it behaves. Token counts everywhere.

    ``thinking``: how thinking is steered. By "budget": any count within ``least_budget``..``most_budget``,
    -1 lets the model decide, ``off_budget`` is the nearest to none (0 where thinking can be turned off).
    By "level": one of ``levels``, of which the first is the nearest to none.
    ``default_level`` is what the model does unasked, for room only; None when it does not think unasked.
    ``functions_with_json`` says whether JSON answers go together with tools of any kind; ``validated_calls``
    whether the mode VALIDATED is known, ``json_schema`` whether JSON Schema is, beside Gemini's own Schema.
    ``image_sizes`` says whether images are made larger on demand, ``image_ratios`` which shapes they come in, the
    plainest first; ``task_types`` whether what embeddings are for is told by a field, or else in the text.
    ``on_vertex`` says whether Vertex AI serves the family by the methods that we call, and ``penalties_on_vertex``
    whether it takes penalties there.
    """

    family: str
    is_chat: bool = True
    is_image: bool = False
    is_tts: bool = False
    is_embedding: bool = False
    max_output_tokens: int = 65_536
    thinking: Literal["none", "budget", "level"] = "none"
    least_budget: int = 0
    most_budget: int = 0
    off_budget: int = 0
    levels: tuple[Level, ...] = ()
    default_level: Level | None = None
    thoughts_included: bool = True
    prefill: bool = True
    system_instruction: bool = True
    sampling: bool = True
    penalties: bool = False
    penalties_on_vertex: bool = False
    logprobs: bool = False
    search: bool = True
    search_with_functions: bool = False
    functions: bool = True
    validated_calls: bool = True
    functions_with_json: bool = False
    json_mode: bool = True
    json_schema: bool = True
    image_sizes: bool = False
    image_ratios: tuple[str, ...] = ()
    task_types: bool = True
    media_resolution: bool = False
    signatures: bool = False
    safety_off: Literal["OFF", "BLOCK_NONE"] = "OFF"
    on_vertex: bool = True


# 8192 tokens out and penalties are of these models only: everything later answers
# "Penalty is not enabled for this model" to any that is not zero. Log probabilities come and go on later
# models ("Logprobs is not enabled for models/gemini-2.5-pro"), so they are asked of 2.0 alone.
# The mode VALIDATED is recorded from 2.5 on.
_2_0 = Profile(family="2.0", max_output_tokens=8192, penalties=True, logprobs=True, validated_calls=False)
# OFF is a threshold since 2.0; the JSON schema fields are recorded from 2.0 on.
_1_5 = replace(_2_0, family="1.5", safety_off="BLOCK_NONE", search=False, logprobs=False, json_schema=False)
_2_0_LITE = replace(_2_0, family="2.0-flash-lite", search=False)

# Budgets: ai.google.dev/gemini-api/docs/thinking. 0 on pro: "Budget 0 is invalid. This model only works in
# thinking mode."
_2_5_FLASH = Profile(
    family="2.5-flash",
    thinking="budget",
    most_budget=24_576,
    default_level="high",
    penalties_on_vertex=True,
)
_2_5_LITE = replace(_2_5_FLASH, family="2.5-flash-lite", least_budget=512, default_level=None)
_2_5_PRO = replace(_2_5_FLASH, family="2.5-pro", least_budget=128, most_budget=32_768, off_budget=128)

# Levels: the same page; a level that is not listed is refused ("Thinking level MINIMAL is not supported for
# this model"), and from 3 on functions work beside search and JSON.
_3_PRO = Profile(
    family="3-pro",
    thinking="level",
    levels=("low", "high"),
    default_level="high",
    search_with_functions=True,
    functions_with_json=True,
    media_resolution=True,
    signatures=True,
    penalties_on_vertex=True,
)
_3_1_PRO = replace(_3_PRO, family="3.1-pro", levels=("low", "medium", "high"))
_3_FLASH = replace(_3_PRO, family="3-flash", levels=LEVELS)
_3_5_FLASH = replace(_3_FLASH, family="3.5-flash", default_level="medium", penalties_on_vertex=False)
_3_LITE = replace(_3_FLASH, family="3-flash-lite", default_level="minimal")
# "Requests ending with a model turn are not supported unless the last part is a function response."; sampling
# parameters are ignored (model pages of 3.5 flash-lite, 3.6 and later).
_3_5_LITE = replace(_3_LITE, family="3.5-flash-lite", prefill=False, sampling=False, penalties_on_vertex=False)
_3_6_FLASH = replace(_3_5_LITE, family="3.6-flash", default_level="medium")
_3_8_FLASH = replace(_3_6_FLASH, family="3.8-flash", levels=("low", "medium", "high"))
# Budgets are refused on 4 altogether; how it takes the resolution of media is not known, so it is not told.
_NEWEST = replace(_3_8_FLASH, family="4", default_level="high", media_resolution=False)

# ai.google.dev/gemini-api/docs/image-generation#aspect_ratios and docs/imagen#imagen-configuration
_RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
_IMAGEN_RATIOS = ("1:1", "3:4", "4:3", "9:16", "16:9")

# Image models: BLOCK_NONE, no system instruction, no tools; signatures are not checked. They think by themselves.
_IMAGE = Profile(
    family="image",
    is_chat=False,
    is_image=True,
    max_output_tokens=32_768,
    system_instruction=False,
    search=False,
    functions=False,
    json_mode=False,
    safety_off="BLOCK_NONE",
    image_ratios=_RATIOS,
)
_NEW_IMAGE = replace(_IMAGE, family="3-image", default_level="low", prefill=False, image_sizes=True)
_TTS = replace(
    _IMAGE,
    family="tts",
    is_image=False,
    is_tts=True,
    max_output_tokens=16_384,
    safety_off="OFF",
    image_ratios=(),
)
# Vertex has another method for embeddings, and one text a call.
_EMBEDDING = Profile(family="embedding", is_chat=False, is_embedding=True, search=False, on_vertex=False)
# From 2 on the task stands in the text: ai.google.dev/gemini-api/docs/embeddings#task-types
_NEW_EMBEDDING = replace(_EMBEDDING, family="embedding-2", task_types=False)
# Imagen, video, music, live and agent models: none of them answers generateContent as a chat model does.
_OTHER = Profile(family="other", is_chat=False, search=False, on_vertex=False)
_IMAGEN = replace(_OTHER, family="imagen", is_image=True, on_vertex=True, image_sizes=True, image_ratios=_IMAGEN_RATIOS)
_IMAGEN_FAST = replace(_IMAGEN, image_sizes=False)

# "Developer instruction is not enabled for models/gemma-3-27b-it", "Function calling is not enabled for ...", "JSON
# mode is not enabled for ...". 4 calls functions; whether it takes the others is not confirmed, and words work on
# both. 4 takes the levels minimal and high, and no budget.
_GEMMA_3 = Profile(
    family="gemma-3",
    max_output_tokens=8192,
    system_instruction=False,
    search=False,
    functions=False,
    validated_calls=False,
    json_mode=False,
    json_schema=False,
    on_vertex=False,
)
_GEMMA_4 = replace(
    _GEMMA_3,
    family="gemma-4",
    functions=True,
    max_output_tokens=32_768,
    thinking="level",
    levels=("minimal", "high"),
    default_level="high",
    thoughts_included=False,
)

# Read from the top; the first pattern found in a name decides. Names that match nothing, the -latest aliases
# among them, are taken for the newest model: it accepts the least, so what it takes the others take too.
_TABLE: Final[tuple[tuple[re.Pattern[str], Profile], ...]] = tuple(
    (re.compile(pattern), profile)
    for pattern, profile in (
        (r"^gemini-embedding-([2-9]|[1-9]\d)", _NEW_EMBEDDING),
        (r"embedding", _EMBEDDING),
        (r"^imagen-(4\.0-fast|[1-3]\.)", _IMAGEN_FAST),
        (r"^imagen", _IMAGEN),
        (r"^(aqa|veo|lyria|deep-research|antigravity)|-(live|native-audio|computer-use)\b", _OTHER),
        (r"-tts\b", _TTS),
        (r"gemini-[12]\..*-image", _IMAGE),
        (r"-image\b|nano-banana", _NEW_IMAGE),
        (r"^gemma-([4-9]|[1-9]\d)", _GEMMA_4),
        (r"^gemma", _GEMMA_3),
        (r"^(gemini-1\.|gemini-pro(-vision)?$)", _1_5),
        (r"^gemini-2\.0-flash-lite", _2_0_LITE),
        (r"^(gemini-2\.0|learnlm)", _2_0),
        (r"^gemini-2\.5-flash-lite", _2_5_LITE),
        (r"^gemini-2\.5-flash", _2_5_FLASH),
        (r"^gemini-2\.5", _2_5_PRO),
        (r"^gemini-3(\.0)?-pro", _3_PRO),
        (r"^gemini-3\.\d+-pro", _3_1_PRO),
        (r"^gemini-3(\.[0-4])?-flash-lite", _3_LITE),
        (r"^gemini-3(\.[0-4])?-flash", _3_FLASH),
        (r"^gemini-3\.5-flash-lite", _3_5_LITE),
        (r"^gemini-3\.5-flash", _3_5_FLASH),
        (r"^gemini-3\.6-flash", _3_6_FLASH),
        (r"^gemini-3\.\d+-flash", _3_8_FLASH),
    )
)


@lru_cache(maxsize=1024)
def profile_of(name: str) -> Profile:
    """Return the facts about the model with this upstream name (lower case, no aliases)."""
    for pattern, profile in _TABLE:
        if pattern.search(name):
            return profile
    return _NEWEST
