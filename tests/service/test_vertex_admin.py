"""Vertex credentials in the admin and at the command line: pasted, refused in words, probed for free."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from keys import vault
from keys.importing import Credential, import_credentials
from keys.models import Key, Source
from tests.gemini import FakeGemini
from tests.unit.test_accounts import A_LINE, PEM, account

# Commands and admin pages open event loops of their own: rows must be seen by other threads.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fresh_pepper() -> Iterator[None]:
    vault.forget()
    yield
    vault.forget()


@pytest.fixture
def admin_client(client: Client) -> Client:
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True, password="!"))
    return client


def add(client: Client, secret: str, kind: str = "ai_studio") -> str:
    fields = {"secret": secret, "kind": kind, "label": "", "daily_limit": ""}
    return client.post("/admin/keys/key/add/", fields, follow=True).content.decode()


def test_a_pasted_service_account_becomes_a_key_of_its_own_kind(admin_client: Client) -> None:
    shown = add(admin_client, json.dumps(account()))

    key = Key.objects.get()
    assert (key.kind, key.label, key.tail) == ("vertex_service_account", "robot", "abcd")
    assert A_LINE not in shown
    assert A_LINE not in key.ciphertext


def test_the_same_account_written_another_way_is_known(admin_client: Client) -> None:
    add(admin_client, json.dumps(account()))

    assert "already there" in add(admin_client, json.dumps(account(client_id="43"), indent=4))
    assert Key.objects.count() == 1


@pytest.mark.parametrize(
    ("secret", "kind", "complaint"),
    [
        (json.dumps(account(project_id=None)), "vertex_service_account", "lacks project_id"),
        (
            json.dumps(account(private_key=PEM.replace(A_LINE, ""))),
            "vertex_service_account",
            "has a private_key that cannot be read",
        ),
        ("AQ.no-account-at-all", "vertex_service_account", "A service account is the JSON"),
        (json.dumps([account("one"), account("two")]), "vertex_service_account", "several service accounts"),
    ],
    ids=["no project", "no key to read", "no JSON", "several"],
)
def test_what_is_no_account_is_refused_at_the_field(
    admin_client: Client, secret: str, kind: str, complaint: str
) -> None:
    assert complaint in add(admin_client, secret, kind)
    assert not Key.objects.exists()


def test_several_accounts_are_imported_at_once(admin_client: Client) -> None:
    text = json.dumps([account("one"), account("two"), account("one")])

    shown = admin_client.post("/admin/keys/key/import/", {"keys": text}).content.decode()

    assert sorted(Key.objects.values_list("label", flat=True)) == ["one", "two"]
    assert "2 added" in shown
    refused = admin_client.post("/admin/keys/key/import/", {"keys": '{"type": "service_account"}'}).content.decode()
    assert "lacks project_id, private_key, client_email" in refused


def test_vertex_credentials_are_probed_by_counting_a_word(settings: Any) -> None:
    with FakeGemini(keys={"AQ.good-express-key"}) as gemini:
        settings.VERTEX_BASE_URL = gemini.url
        settings.BEHAVIOUR = type(settings.BEHAVIOUR)(enable_vertex=True)
        good = Credential.of_key("AQ.good-express-key", Key.Kind.VERTEX_EXPRESS)
        bad = Credential.of_key("AQ.bad-express-key", Key.Kind.VERTEX_EXPRESS)
        import_credentials([good, bad], Source.ADMIN)
        out = StringIO()

        call_command("probe_keys", stdout=out)

        assert [call.method for call in gemini.calls] == ["countTokens", "countTokens"]
    assert list(Key.objects.order_by("pk").values_list("disabled_by", flat=True)) == ["", "google"]
    assert "2 keys probed" in out.getvalue()


METADATA = "http://169.254.169.254/computeMetadata/v1/token"


def test_ssrf_an_admin_cannot_paste_an_account_whose_token_uri_leads_elsewhere(admin_client: Client) -> None:
    pasted = json.dumps(account(token_uri=METADATA))

    for shown in (
        add(admin_client, pasted),
        admin_client.post("/admin/keys/key/import/", {"keys": pasted}, follow=True).content.decode(),
    ):
        assert "token_uri that is not Google" in shown
    assert not Key.objects.exists()


def test_the_field_of_a_key_says_where_a_service_account_gets_its_tokens(admin_client: Client) -> None:
    page = admin_client.get("/admin/keys/key/add/").content.decode()

    assert "gets its tokens over https from Google" in page
    assert "servers only, or from the host of VERTEX_BASE_URL" in page


def test_ssrf_the_command_line_cannot_import_one_either(tmp_path: Path) -> None:
    (tmp_path / "account.json").write_text(json.dumps(account(token_uri=METADATA)))

    with pytest.raises(CommandError, match="token_uri that is not Google's"):
        call_command("import_keys", str(tmp_path / "account.json"))
