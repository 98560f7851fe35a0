"""Hypothesis strategies: OpenAI chat requests that are in order, without a model."""

from __future__ import annotations

from hypothesis import strategies as st

from proxy.translation.chat import EFFORTS
from proxy.translation.families import LEVELS

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
MEDIA = st.sampled_from(
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,_-_-", "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "video_url", "video_url": {"url": "https://youtu.be/abc"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        {"type": "file", "file": {"file_data": "data:application/json;base64,AAAA", "filename": "a.json"}},
        {"type": "file", "file": {"file_id": "files/abc"}},
    ]
)
CONTENT = st.none() | TEXT | st.lists(st.builds(lambda text: {"type": "text", "text": text}, TEXT) | MEDIA, max_size=3)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant"]), "content": CONTENT},
    optional={"name": st.sampled_from(["Tester", "example_user"]) | TEXT},
)
SAFETY = st.fixed_dictionaries(
    {
        "category": st.sampled_from(["HARM_CATEGORY_HARASSMENT", "HARM_CATEGORY_CIVIC_INTEGRITY"]),
        "threshold": st.sampled_from(["OFF", "BLOCK_NONE", "BLOCK_ONLY_HIGH"]),
    }
)
THINKING = st.fixed_dictionaries(
    {},
    optional={
        "thinking_budget": st.integers(-1, 100_000),
        "thinking_level": st.sampled_from(LEVELS),
        "include_thoughts": st.booleans(),
    },
)
CHATS = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGE, min_size=1, max_size=8)},
    optional={
        "stream": st.booleans(),
        "n": st.integers(1, 8),
        "max_tokens": st.integers(1, 10**7),
        "max_completion_tokens": st.integers(1, 10**20),
        "temperature": st.floats(0, 2) | st.integers(0, 2),
        "top_p": st.floats(0, 1),
        "top_k": st.integers(0, 1000),
        "frequency_penalty": st.floats(-2, 2),
        "presence_penalty": st.floats(-2, 2),
        "seed": st.integers(-(2**63), 2**63 - 1),
        "stop": TEXT | st.lists(TEXT, max_size=8),
        "logprobs": st.booleans(),
        "top_logprobs": st.integers(0, 20),
        "reasoning_effort": st.sampled_from(EFFORTS),
        "thinking_config": THINKING,
        "safety_settings": st.lists(SAFETY, max_size=2),
        "logit_bias": st.just({"1": 5}),
    },
)
