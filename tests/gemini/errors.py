"""Google's refusals as the fake sends them: one row per kind, a status and a body."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Body = dict[str, Any]
_TYPE = "type.googleapis.com/google.rpc."
_SERVICE = "generativelanguage.googleapis.com"
_OVER_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this "
    "error, head to: https://ai.google.dev/gemini-api/docs/rate-limits."
)


def body(code: int, status: str, message: str, *details: Body) -> Body:
    """Return an error body in Google's envelope."""
    error: Body = {"code": code, "message": message, "status": status}
    return {"error": error | ({"details": list(details)} if details else {})}


def _info(reason: str, **metadata: str) -> Body:
    return {
        "@type": f"{_TYPE}ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": _SERVICE, **metadata},
    }


def _localized(message: str) -> Body:
    return {"@type": f"{_TYPE}LocalizedMessage", "locale": "en-US", "message": message}


def _help(description: str, url: str) -> Body:
    return {"@type": f"{_TYPE}Help", "links": [{"description": description, "url": url}]}


def _invalid_key(message: str) -> Body:
    return body(400, "INVALID_ARGUMENT", message, _info("API_KEY_INVALID"), _localized(message))


def _suspended(key: str, **_: Any) -> Body:
    # Google prints the key in clear here.
    message = f"Permission denied: Consumer 'api_key:{key}' has been suspended."
    info = _info("CONSUMER_SUSPENDED", consumer="projects/123456789012", containerInfo=f"api_key:{key}")
    return body(403, "PERMISSION_DENIED", message, info, _localized(message))


def _service_disabled(**_: Any) -> Body:
    url = f"https://console.developers.google.com/apis/api/{_SERVICE}/overview?project=123456789012"
    message = (
        "Generative Language API has not been used in project 123456789012 before or it is disabled. Enable it by "
        f"visiting {url} then retry. If you enabled this API recently, wait a few minutes for the action to propagate "
        "to our systems and retry."
    )
    help_ = _help("Google developers console API activation", url)
    return body(403, "PERMISSION_DENIED", message, help_, _info("SERVICE_DISABLED", consumer="projects/123456789012"))


def _model_not_found(model: str, method: str, **_: Any) -> Body:
    message = (
        f"models/{model} is not found for API version v1beta, or is not supported for {method}. Call "
        "ModelService.ListModels to see the list of available models and their supported methods."
    )
    return body(404, "NOT_FOUND", message)


def _quota(metric: str, quota_id: str, limit: int, model: str, retry: float) -> Body:
    name = f"{_SERVICE}/{metric}"
    message = f"{_OVER_QUOTA} \n* Quota exceeded for metric: {name}, limit: {limit}, model: {model}"
    violation = {
        "quotaMetric": name,
        "quotaId": quota_id,
        "quotaDimensions": {"location": "global", "model": model},
        **({"quotaValue": str(limit)} if limit else {}),
    }
    return body(
        429,
        "RESOURCE_EXHAUSTED",
        f"{message}\nPlease retry in {retry:.9f}s.",
        _help("Learn more about Gemini API quotas", "https://ai.google.dev/gemini-api/docs/rate-limits"),
        {"@type": f"{_TYPE}QuotaFailure", "violations": [violation]},
        {"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{math.floor(retry) if retry >= 1 else retry:g}s"},
    )


_FREE_REQUESTS = "generate_content_free_tier_requests"
_PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
_PER_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
_TOKENS = "GenerateContentInputTokensPerModelPerMinute-FreeTier"


def _per_day(model: str, limit: int = 20, retry: float = 18.4, **_: Any) -> Body:
    # The delay is misleadingly short: the quota returns at midnight Pacific only.
    return _quota(_FREE_REQUESTS, _PER_DAY, limit, model, retry)


def _per_minute(model: str, limit: int = 10, retry: float = 36.2, **_: Any) -> Body:
    return _quota(_FREE_REQUESTS, _PER_MINUTE, limit, model, retry)


def _tokens_per_minute(model: str, limit: int = 250_000, retry: float = 26.1, **_: Any) -> Body:
    return _quota("generate_content_free_tier_input_token_count", _TOKENS, limit, model, retry)


def _limit_zero(model: str, retry: float = 41.8, **_: Any) -> Body:
    return _quota(_FREE_REQUESTS, _PER_DAY, 0, model, retry)


def _plain(code: int, status: str, message: str) -> Callable[..., Body]:
    return lambda **_: body(code, status, message)


def _dead(message: str) -> Callable[..., Body]:
    return lambda **_: _invalid_key(message)


# The words before each row are the names that tests use.
KINDS: dict[str, Callable[..., Body]] = {
    "invalid_key": _dead("API key not valid. Please pass a valid API key."),
    "expired_key": _dead("API key expired. Please renew the API key."),
    "no_key": _plain(
        403,
        "PERMISSION_DENIED",
        "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or "
        "other form of API consumer identity to call this API.",
    ),
    "suspended": _suspended,
    "leaked": _plain(403, "PERMISSION_DENIED", "Your API key was reported as leaked. Please use another API key."),
    "denied": _plain(403, "PERMISSION_DENIED", "Your project has been denied access. Please contact support."),
    "service_disabled": _service_disabled,
    "location": _plain(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
    "bad_request": _plain(400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    "too_many_tokens": _plain(
        400, "INVALID_ARGUMENT", "The input token count exceeds the maximum number of tokens allowed 1048576."
    ),
    "model_not_found": _model_not_found,
    "per_day": _per_day,
    "per_minute": _per_minute,
    "tokens_per_minute": _tokens_per_minute,
    "limit_zero": _limit_zero,
    "exhausted": _plain(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    "cancelled": _plain(499, "CANCELLED", "The operation was cancelled."),
    "internal": _plain(
        500,
        "INTERNAL",
        "An internal error has occurred. Please retry or report in "
        "https://developers.generativeai.google/guide/troubleshooting",
    ),
    "overloaded": _plain(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "deadline": _plain(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
}

# A bare status in a script means this kind.
BY_STATUS: dict[int, str] = {
    400: "bad_request",
    403: "suspended",
    404: "model_not_found",
    429: "exhausted",
    499: "cancelled",
    500: "internal",
    503: "overloaded",
    504: "deadline",
}


def error_body(kind: str, *, model: str, method: str, key: str, **values: Any) -> Body:
    """Return the body of an error ``kind``. ``values`` are ``limit`` and ``retry`` (seconds) of the quota kinds."""
    return KINDS[kind](model=model, method=method, key=key, **values)
