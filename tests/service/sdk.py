"""The stock openai SDK in front of a house, without retries of its own."""

from __future__ import annotations

import openai
from openai import OpenAI

from tests.service.houses import House


def client_of(house: House) -> OpenAI:
    """Return a client; use it as a context manager."""
    http = openai.DefaultHttpxClient(trust_env=False)
    url, key = f"{house.server.base_url}/v1", house.server.password
    return OpenAI(base_url=url, api_key=key, http_client=http, timeout=20, max_retries=0)
