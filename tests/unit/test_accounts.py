"""Service accounts as people paste them, and what they are told when one is not whole."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from keys.accounts import (
    TOKEN_URI,
    BadAccount,
    check_token_servers,
    is_like_accounts,
    is_token_server,
    parse,
    parse_each,
    read,
)
from tests.gemini.vertex import pem_keys

PEM = pem_keys()[0]
A_LINE = PEM.splitlines()[3]


def account(name: str = "robot", **fields: Any) -> dict[str, Any]:
    """Return what Google's file of an account holds; a field set to None is missing."""
    document = {
        "type": "service_account",
        "project_id": "my-project",
        "private_key_id": "0123abcd",
        "private_key": PEM,
        "client_email": f"{name}@my-project.iam.gserviceaccount.com",
        "client_id": "42",
        "token_uri": "https://oauth2.googleapis.com/token",
        **fields,
    }
    return {name: value for name, value in document.items() if value is not None}


def encoded(document: Any) -> str:
    return base64.b64encode(json.dumps(document).encode()).decode()


ONE, TWO = json.dumps(account("one")), json.dumps(account("two"), indent=2)
WAYS_TO_WRITE_TWO = {
    "a list": f"[{ONE}, {TWO}]",
    "one after the other": f"{ONE}{TWO}",
    "on lines of their own": f"{ONE}\n\n{TWO}\n",
    "with commas": f"{ONE},{TWO},",
    "a list in base64": encoded([account("one"), account("two")]),
    "each in base64": f"{encoded(account('one'))},{encoded(account('two'))}",
    "again": f"{ONE}{TWO}{ONE}",
}


@pytest.mark.parametrize("text", WAYS_TO_WRITE_TWO.values(), ids=WAYS_TO_WRITE_TWO)
def test_several_accounts_are_read_however_they_are_put_together(text: str) -> None:
    assert [found.client_email.partition("@")[0] for found in parse(text)] == ["one", "two"]
    assert is_like_accounts(text)


@pytest.mark.parametrize(
    "written", [PEM, PEM.replace("\n", "\\n"), PEM.strip()], ids=["as they are", "escaped", "without the last"]
)
def test_the_line_ends_of_the_key_may_arrive_in_any_form(written: str) -> None:
    (found,) = parse(json.dumps(account(private_key=written)))

    assert found.info["private_key"] == PEM


def test_line_ends_that_are_not_escaped_are_read_too() -> None:
    (found,) = parse(ONE.replace("\\n", "\n"))

    assert found.info["private_key"] == PEM


def test_only_what_is_needed_is_kept() -> None:
    (found,) = parse(ONE)

    assert set(found.info) == {"type", "project_id", "private_key_id", "private_key", "client_email", "token_uri"}
    assert read(found.secret) == found
    assert A_LINE not in repr(found)


def test_without_a_token_uri_googles_own_is_asked() -> None:
    (found,) = parse(json.dumps(account(token_uri=None)))

    assert found.token_uri == TOKEN_URI


def elliptic() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    how = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*how).decode()


WRONG = {
    "": "no service account",
    "[]": "no service account",
    "hello": "neither JSON nor base64",
    '{"type": ': "not valid JSON",
    "[1]": "no JSON object",
    json.dumps(account(private_key=None, project_id=None)): "lacks project_id, private_key",
    json.dumps(account(client_email="  ")): "lacks client_email",
    json.dumps(account(type="authorized_user")): '"type" must be "service_account"',
    json.dumps(account(private_key="secret-canary")): "no PEM key",
    json.dumps(account(private_key=PEM.replace(A_LINE + "\n", ""))): "private_key that cannot be read",
    json.dumps(account(private_key=PEM.replace(A_LINE, "secret-canary"))): "private_key that cannot be read",
    json.dumps(account(private_key=elliptic())): "private_key that cannot be read",
    f"{ONE}{json.dumps(account(private_key=PEM.replace(A_LINE, 'é')))}": "service account 2 has a private_key",
    json.dumps(account(project_id="a/b")): "project_id",
    json.dumps(account(token_uri="ftp://x")): "token_uri",
    json.dumps(account(client_email="\ud800")): "not valid Unicode",
    f"{ONE}{json.dumps(account(private_key=None))}": "service account 2 lacks private_key",
}


@pytest.mark.parametrize(("text", "words"), WRONG.items(), ids=WRONG.values())
def test_a_wrong_account_is_refused_with_what_is_missing_and_nothing_of_it(text: str, words: str) -> None:
    with pytest.raises(BadAccount) as raised:
        parse(text)

    assert words in str(raised.value)
    assert "canary" not in str(raised.value)
    assert A_LINE not in str(raised.value)


@given(st.text(max_size=200) | st.recursive(st.none() | st.text(), lambda inner: st.lists(inner)).map(json.dumps))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(BadAccount):
        assert parse(text)


def test_api_keys_are_not_taken_for_accounts() -> None:
    assert not is_like_accounts("AIzaSyFakeKeyOfTheSimulator-----------A, AIzaSyFakeKeyOfTheSimulator-----------B")


@pytest.mark.parametrize(
    ("text", "whole", "told"),
    [
        (f"[{ONE}, {{}}, {TWO}]", 2, ("service account 8 lacks project_id, private_key, client_email",)),
        (f"{ONE} {{", 1, ("it is not valid JSON",)),
        (f"{ONE}{TWO}", 2, ()),
        (" ", 0, ("it holds no service account",)),
    ],
)
def test_one_broken_account_costs_the_others_nothing_where_each_is_read_on_its_own(
    text: str, whole: int, told: tuple[str, ...]
) -> None:
    accounts, faults = parse_each(text, first=7)

    assert (len(accounts), tuple(map(str, faults))) == (whole, told)


OURS = "http://vertex.inside:8080/v1"


@pytest.mark.parametrize(
    ("address", "vertex_url"),
    [
        (TOKEN_URI, ""),
        (TOKEN_URI, OURS),
        ("https://accounts.google.com/o/oauth2/token", ""),
        ("https://www.googleapis.com/oauth2/v4/token", ""),
        ("https://OAuth2.GoogleAPIs.com:443/token", ""),
        ("http://vertex.inside:9000/token", OURS),
        ("https://vertex.inside/token", OURS),
        ("http://127.0.0.1:9/token", "http://127.0.0.1:8000"),
    ],
)
def test_tokens_come_from_google_over_https_or_from_the_host_of_a_vertex_of_ones_own(
    address: str, vertex_url: str
) -> None:
    assert is_token_server(address, vertex_url)
    check_token_servers(parse(json.dumps(account(token_uri=address))), vertex_url)


@pytest.mark.parametrize("vertex_url", ["", OURS, "https://aiplatform.googleapis.com"])
@pytest.mark.parametrize(
    "address",
    [
        "http://oauth2.googleapis.com/token",
        "http://accounts.google.com/token",
        "https://evil.example/token",
        "https://googleapis.com.evil.example/token",
        "https://evilgoogleapis.com/token",
        "https://evil.example/?https://oauth2.googleapis.com/token",
        "https://evil.example#.googleapis.com/token",
        "https://oauth2.googleapis.com@evil.example/token",
        "https://oauth2.googleapis.com:443@evil.example/token",
        "https://evil.example\\.googleapis.com/token",
        "https://oauth2.googleapis.com:8443/token",
        "https://sites.google.com/token",
        "http://127.0.0.1/token",
        "http://localhost:7860/token",
        "http://169.254.169.254/computeMetadata/v1/token",
        "http://metadata.google.internal/computeMetadata/v1/token",
        "http://[::1]/token",
        "http://vertex.inside@127.0.0.1/token",
        "http://127.0.0.1\\@vertex.inside/token",
        "http://[vertex.inside/token",
        "http://aiplatform.googleapis.com/token",
    ],
)
def test_ssrf_by_a_token_uri_leads_nowhere(address: str, vertex_url: str) -> None:
    assert not is_token_server(address, vertex_url)


def test_an_address_that_is_none_is_no_token_server_even_beside_itself() -> None:
    assert not is_token_server("http://[", "http://[")


def test_the_account_whose_token_uri_leads_elsewhere_is_named_by_its_number() -> None:
    accounts = parse(ONE + json.dumps(account("two", token_uri="https://canary.example/")))

    with pytest.raises(BadAccount, match="service account 2 has a token_uri that is not Google's") as raised:
        check_token_servers(accounts)

    assert "canary" not in str(raised.value)
