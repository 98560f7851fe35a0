"""Addresses: the slips of pasted base URLs, API or page, whose dialect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.paths import Dialect, dialect_of, is_api, models_dialect, normalise

CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/v1//chat/completions",
        "//v1/chat/completions",
        "/v1/chat/completions/",
        "/v1/chat//completions//",
        "/chat/completions",
        "/chat/completions/",
        "/v1/v1/chat/completions",
        "/v1/chat/completions/chat/completions",
        "/v1/chat/completions/v1/chat/completions",
        "/chat/completions/chat/completions",
        "/v1beta/openai/chat/completions",
        "/v1/openai/chat/completions",
    ],
)
def test_it_finds_the_chat_endpoint_behind_every_slip(path):
    assert is_api(path)
    assert normalise(path) == CHAT


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/models", "/v1/models"),
        ("/v1/models/", "/v1/models"),
        ("/v1/chat/completions/models", "/v1/models"),
        ("/v1/chat/completions/models/gemini-2.5-pro", "/v1/models/gemini-2.5-pro"),
        ("/v1/chat/completions/v1/models", "/v1/models"),
        ("/v1/chat/completions/embeddings", "/v1/embeddings"),
        ("/embeddings", "/v1/embeddings"),
        ("/images/generations/", "/v1/images/generations"),
        ("/audio/speech", "/v1/audio/speech"),
        ("/v1/models/models/gemini-2.5-pro", "/v1/models/models/gemini-2.5-pro"),
        ("/v1beta/models", "/v1beta/models"),
        ("/v1beta//models/x:generateContent", "/v1beta/models/x:generateContent"),
        ("/v1/v1beta/models/x:generateContent", "/v1beta/models/x:generateContent"),
        ("/v1beta/v1beta/models", "/v1beta/models"),
        ("/v1alpha/models/x:streamGenerateContent", "/v1alpha/models/x:streamGenerateContent"),
        ("/v1/chat/completions/v1beta/models", "/v1beta/models"),
        ("/v1", "/v1"),
        ("/v1/", "/v1"),
        ("/upload/v1beta/files", "/v1beta/files"),
        ("/v1/nothing", "/v1/nothing"),
        ("/v1/openai", "/v1/openai"),
    ],
)
def test_it_finds_what_is_meant(path, meant):
    assert is_api(path)
    assert normalise(path) == meant


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "//",
        "/me",
        "/admin/",
        "/admin/v1/chat/completions",
        "/healthz",
        "/static/x.css",
        "/V1/models",
        "/v2/models",
        "/metrics",
        "/upload",
        "/upload/files",
    ],
)
def test_other_addresses_are_pages(path):
    assert not is_api(path)


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/chat/completions", Dialect.OPENAI),
        ("/v1/models", Dialect.OPENAI),
        ("/v1/models/gemini-2.5-pro", Dialect.OPENAI),
        ("/v1", Dialect.OPENAI),
        ("/v1/models/x:generateContent", Dialect.GOOGLE),
        ("/v1beta/models", Dialect.GOOGLE),
        ("/v1alpha/anything", Dialect.GOOGLE),
        ("/v1beta", Dialect.GOOGLE),
        ("/v1/messages", Dialect.ANTHROPIC),
        ("/v1/messages/count_tokens", Dialect.ANTHROPIC),
        ("/v1/messagesx", Dialect.OPENAI),
    ],
)
def test_a_path_has_a_dialect(path, dialect):
    assert dialect_of(path) is dialect


@pytest.mark.parametrize(
    ("anthropic", "google", "authorization", "dialect"),
    [
        (False, False, False, Dialect.OPENAI),
        (False, False, True, Dialect.OPENAI),
        (False, True, False, Dialect.GOOGLE),
        (False, True, True, Dialect.OPENAI),
        (True, False, False, Dialect.ANTHROPIC),
        (True, False, True, Dialect.ANTHROPIC),
    ],
)
def test_the_list_of_models_answers_in_the_dialect_of_the_credential(anthropic, google, authorization, dialect):
    chosen = models_dialect(anthropic_version=anthropic, google_credential=google, authorization=authorization)

    assert chosen is dialect


segments = st.sampled_from(["v1", "v1beta", "chat", "completions", "models", "x", "openai", "", "m:verb"])


@given(st.lists(segments, max_size=8))
def test_normalising_twice_changes_nothing(pieces):
    once = normalise("/" + "/".join(pieces))

    assert normalise(once) == once
    assert "//" not in once
