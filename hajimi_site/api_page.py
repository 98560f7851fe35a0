"""The API's own description: for programs, and as a page for people."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from proxy import openapi as description
from proxy.openapi import Operation
from proxy.openapi_schemas import SCHEMAS


@require_safe
async def openapi(request: ASGIRequest) -> HttpResponse:
    """GET /openapi.json: the description, for any page and program to read."""
    answer = JsonResponse(description.document(settings.VERSION, request.build_absolute_uri("/").rstrip("/")))
    answer["access-control-allow-origin"] = "*"
    return answer


@require_safe
async def docs(request: ASGIRequest) -> HttpResponse:
    """GET /docs: the same for people."""
    context = {
        "base_url": request.build_absolute_uri("/v1"),
        "operations": [_shown(operation) for operation in description.OPERATIONS],
        "refusals": [(status, gettext(sentence)) for status, sentence in description.REFUSALS.items()],
        "credentials": description.CREDENTIALS.values(),
    }
    return render(request, "docs.html", context)


def _shown(operation: Operation) -> dict[str, Any]:
    schema = SCHEMAS.get(operation.asks, {})
    return {
        "method": operation.method.upper(),
        "path": operation.path,
        "summary": gettext(operation.summary),
        "streams": operation.streams,
        "required": schema.get("required", []),
        "optional": [name for name in schema.get("properties", {}) if name not in schema.get("required", [])],
    }
