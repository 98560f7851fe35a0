"""Vertex AI beside Gemini: service accounts with a token server, and express mode. The same script answers."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt

from tests.gemini import errors, judge
from tests.gemini.calls import Call

if TYPE_CHECKING:
    from tests.gemini.server import FakeGemini

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ACCOUNT_PATH = "/v1/projects/{project}/locations/{location}/publishers/google/models/{model}:{method}"
EXPRESS_PATH = "/v1/publishers/google/models/{model}:{method}"


@dataclass
class Vertex:
    """What the token server knows and has done. ``judge`` judges bodies sent to Vertex.

    ``refusal`` is what is answered in place of tokens: a status with JSON, or with the text of a page.
    """

    accounts: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    fetches: list[str] = field(default_factory=list)
    lifetime: int = 3599
    refusal: tuple[int, dict[str, str] | str] | None = None
    judge: judge.Judge = field(default_factory=lambda: judge.strictest("vertex"))

    def account(self, url: str, project: str = "hajimi-test") -> dict[str, str]:
        """Return a new service account whose tokens come from ``url``, as Google's JSON file holds it."""
        name = f"robot-{len(self.accounts) + 1}@{project}.iam.gserviceaccount.com"
        info = {
            "type": "service_account",
            "project_id": project,
            "private_key_id": secrets.token_hex(20),
            "private_key": pem_keys()[0],
            "client_email": name,
            "client_id": "1" * 21,
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": f"{url}/token",
        }
        self.accounts[name] = info
        return info

    def revoke(self) -> None:
        """Forget every token that was given: Vertex answers 401 to it from now on."""
        self.tokens.clear()


@cache
def pem_keys() -> tuple[str, str]:
    """Return one pair, private and public, for all accounts of a test run: making it takes a while."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


class TokenServer:
    """POST /token, as RFC 7523 and Google's page on service accounts describe it."""

    def __init__(self, gemini: FakeGemini) -> None:
        self._gemini = gemini

    async def give(self, request: web.Request) -> web.Response:
        """Check the signed assertion and give a token, compressed for those who say that they read that."""
        answered = await self._answer(request)
        answered.enable_compression()
        return answered

    async def _answer(self, request: web.Request) -> web.Response:
        vertex = self._gemini.vertex
        form = await request.post()
        if vertex.refusal is not None:
            vertex.fetches.append("refused")
            status, said = vertex.refusal
            if isinstance(said, str):
                return web.Response(text=said, status=status, content_type="text/html")
            return web.json_response(said, status=status)
        try:
            claims = _claims(str(form.get("assertion", "")), str(request.url))
        except ValueError as error:
            return web.json_response({"error": "invalid_grant", "error_description": str(error)}, status=400)
        if form.get("grant_type") != GRANT or claims.get("scope") != SCOPE or claims.get("iss") not in vertex.accounts:
            return web.json_response({"error": "invalid_grant", "error_description": "Account not found"}, status=400)
        token = f"ya29.{secrets.token_urlsafe(24)}"
        vertex.tokens[token] = claims["iss"]
        vertex.fetches.append(claims["iss"])
        return web.json_response({"access_token": token, "expires_in": vertex.lifetime, "token_type": "Bearer"})


def _claims(assertion: str, audience: str) -> dict[str, Any]:
    verifier = crypt.RSAVerifier.from_string(pem_keys()[1])
    _, claims, signed, signature = jwt._unverified_decode(assertion)
    if not verifier.verify(signed, signature):
        raise ValueError("Invalid JWT Signature.")
    if claims["aud"] != audience or claims["exp"] < time.time():
        raise ValueError("Invalid JWT: audience or time")
    return dict(json.loads(json.dumps(claims)))


def door(gemini: FakeGemini, call: Call, project: str | None) -> web.Response | None:
    """Refuse who has no token of the project's account (``project``), or no key (None: express mode)."""
    if project is None:
        known = gemini.keys
        if call.key and (known is None or call.key in known):
            return None
        return _refuse(401, "UNAUTHENTICATED", "API keys are not supported by this API.")
    token = call.headers.get("authorization", "").removeprefix("Bearer ")
    owner = gemini.vertex.tokens.get(token)
    if owner is None:
        return _refuse(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
    if gemini.vertex.accounts[owner]["project_id"] != project:
        return _refuse(403, "PERMISSION_DENIED", "Permission 'aiplatform.endpoints.predict' denied on resource")
    call.key = owner
    return None


def _refuse(code: int, status: str, message: str) -> web.Response:
    return web.json_response(errors.body(code, status, message), status=code)
