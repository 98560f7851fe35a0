"""What every known error body of Google's means for the key and for the request."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.rules import Outcome, ParkReason, Rest, Verdict, judge, next_pacific_midnight
from tests.shared import SHARED, needs_shared

NOW = datetime(2026, 8, 21, 12, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 8, 22, 7, 0, tzinfo=UTC)
TOMORROW = NOW + timedelta(hours=24)

DISABLE = "disable"
NO_BLAME = None


def seconds(number: float, quota_id: str = "", whole_key: bool = False) -> Rest:
    return Rest(ParkReason.PER_MINUTE, NOW + timedelta(seconds=number), quota_id, whole_key)


def not_offered(quota_id: str = "") -> Rest:
    return Rest(ParkReason.NOT_OFFERED, TOMORROW, quota_id)


PAUSE = Rest(ParkReason.RESTING, None)
PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"

# One row for each body that is not simply the request's own fault (400).
EXPECTED: dict[str, tuple[Outcome, Rest | str | None]] = {
    "api_key_invalid": (Outcome.KEY_REJECTED, DISABLE),
    "api_key_expired": (Outcome.KEY_REJECTED, DISABLE),
    "api_key_not_found": (Outcome.KEY_REJECTED, DISABLE),
    "consumer_suspended": (Outcome.KEY_REJECTED, DISABLE),
    "key_leaked": (Outcome.KEY_REJECTED, DISABLE),
    "project_denied": (Outcome.KEY_REJECTED, DISABLE),
    "service_disabled": (Outcome.KEY_REJECTED, DISABLE),
    "vertex_401_api_key": (Outcome.KEY_REJECTED, DISABLE),
    "no_key": (Outcome.KEY_REJECTED, PAUSE),
    "caller_no_permission": (Outcome.KEY_REJECTED, PAUSE),
    "location": (Outcome.LOCATION, NO_BLAME),
    "location_billing": (Outcome.LOCATION, NO_BLAME),
    "quota_day_free": (Outcome.RATE_LIMITED, Rest(ParkReason.PER_DAY, MIDNIGHT, PER_DAY, per_day=20)),
    "quota_tokens_minute_paid": (
        Outcome.RATE_LIMITED,
        seconds(48, "GenerateContentPaidTierInputTokensPerModelPerMinute"),
    ),
    "quota_tokens_minute_free_2025": (
        Outcome.RATE_LIMITED,
        seconds(26, "GenerateContentInputTokensPerModelPerMinute-FreeTier"),
    ),
    "quota_three_violations": (Outcome.RATE_LIMITED, Rest(ParkReason.PER_DAY, MIDNIGHT, PER_DAY)),
    "quota_grounding": (Outcome.RATE_LIMITED, PAUSE),
    "exhausted_plain": (Outcome.RATE_LIMITED, PAUSE),
    "exhausted_shared_capacity": (Outcome.RATE_LIMITED, PAUSE),
    # A region without any quota: all models of this key, and the region may be another one next time.
    "rate_limit_exceeded_errorinfo": (
        Outcome.RATE_LIMITED,
        seconds(60, "GenerateContentRequestsPerMinutePerProjectPerRegion", whole_key=True),
    ),
    "overloaded": (Outcome.UNAVAILABLE, NO_BLAME),
    "high_demand": (Outcome.UNAVAILABLE, NO_BLAME),
    "deadline_503": (Outcome.UNAVAILABLE, NO_BLAME),
    "deadline_504": (Outcome.UNAVAILABLE, NO_BLAME),
    "cancelled_499": (Outcome.UNAVAILABLE, NO_BLAME),
    "internal": (Outcome.UNAVAILABLE, NO_BLAME),
    "internal_short": (Outcome.UNAVAILABLE, NO_BLAME),
    "model_not_found": (Outcome.NOT_FOUND, not_offered()),
    "vertex_model_not_found": (Outcome.NOT_FOUND, not_offered()),
}
# The request's own fault: no blame for the key, nothing to try again.
REQUESTS_FAULT = [
    "invalid_argument_bare",
    "unknown_field",
    "unknown_field_schema",
    "list_for_scalar",
    "bad_enum",
    "enum_numbers",
    "bad_base64",
    "400_contents_missing",
    "400_parts_empty",
    "400_part_without_data",
    "400_fn_name",
    "400_empty_object_schema",
    "400_props_not_object",
    "400_items_missing",
    "400_mime_image",
    "400_mime_unsupported",
    "400_fn_call_turn",
    "400_fn_response_turn",
    "400_fn_response_count",
    "400_thought_signature",
    "400_last_turn_model",
    "400_budget_zero",
    "400_budget_range",
    "400_budget_unsupported",
    "400_budget_and_level",
    "400_json_plus_functions",
    "400_json_plus_tools",
    "400_functions_plus_tools",
    "400_penalty",
    "400_level_refused",
    "400_level_old",
    "400_server_tools_flag",
    "400_dup_function",
    "400_fn_512",
    "400_system_gemma",
    "400_too_many_tokens",
    "vertex_empty_text",
    "vertex_no_text",
    "vertex_no_contents",
    "vertex_params_object",
    "vertex_thinking_off",
    "vertex_role",
    "vertex_temperature",
    "compat_unknown_fields",
    "compat_reasoning_effort",
]
EXPECTED |= dict.fromkeys(REQUESTS_FAULT, (Outcome.BAD_REQUEST, NO_BLAME))


def _recorded() -> list[dict[str, Any]]:
    if SHARED is None:
        return []
    errors: list[dict[str, Any]] = json.loads((SHARED / "gemini" / "errors.json").read_text())["errors"]
    return errors


@needs_shared
@pytest.mark.parametrize("recorded", _recorded(), ids=lambda recorded: recorded["id"])
def test_it_knows_what_googles_answer_means(recorded: dict[str, Any]) -> None:
    outcome, effect = EXPECTED[recorded["id"]]

    verdict = judge(recorded["http_status"], json.dumps(recorded["body"]).encode(), NOW)

    assert verdict.outcome is outcome
    assert verdict.status == recorded["http_status"]
    assert verdict.disable == (verdict.message if effect == DISABLE else None)
    assert verdict.rest == (effect if isinstance(effect, Rest) else None)
    assert verdict.quota_id == (effect.quota_id if isinstance(effect, Rest) else "")
    assert "\n" not in verdict.message
    assert 0 < len(verdict.message) <= 300


@needs_shared
def test_every_row_of_the_table_is_a_recorded_body() -> None:
    assert set(EXPECTED) == {recorded["id"] for recorded in _recorded()}


def answer(status: int, message: str = "", *details: dict[str, Any], now: datetime = NOW) -> Verdict:
    document = {"error": {"code": status, "message": message, "status": "X", "details": list(details)}}
    return judge(status, json.dumps(document).encode(), now)


def failure(*violations: dict[str, Any]) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": list(violations)}


def quota(id: str, **more: Any) -> dict[str, Any]:
    return {"quotaId": id, "quotaDimensions": {"model": "gemini-2.5-pro"}, **more}


def retry(delay: Any) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        ("48s", 48),
        ("34.4s", 34.4),
        ("34.074824224s", 34.074824),
        ("0s", 1),
        ("0.2s", 1),
        ("7200s", 3600),
        ("999999999s", 3600),
        ("soon", 60),
        ("", 60),
        (None, 60),
        (17, 60),
        ("-5s", 60),
        ("1e9s", 60),
    ],
)
def test_a_minute_quota_rests_for_the_delay_within_reason(delay: Any, expected: float) -> None:
    verdict = answer(
        429, "Quota.", failure(quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier")), retry(delay)
    )

    assert verdict.rest is not None
    assert verdict.rest.reason is ParkReason.PER_MINUTE
    assert verdict.rest.until == NOW + timedelta(seconds=expected)


def test_the_delay_is_read_from_the_message_when_there_is_no_retry_info() -> None:
    violation = failure(quota("PerMinutePerModel"))

    assert answer(429, "Please retry in 21.5s.", violation).rest == seconds(21.5, "PerMinutePerModel")
    assert answer(429, "Please retry in 900.5ms.", violation).rest == seconds(1, "PerMinutePerModel")
    assert answer(429, "Quota exceeded. Please retry in 12s.").rest == seconds(12)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-08-22T06:59:59+00:00", "2026-08-22T07:00:00+00:00"),
        ("2026-08-22T07:00:00+00:00", "2026-08-23T07:00:00+00:00"),
        ("2026-12-31T12:00:00+00:00", "2027-01-01T08:00:00+00:00"),
        # 23 and 25 hours long: summer time begins and ends.
        ("2026-03-08T08:00:00+00:00", "2026-03-09T07:00:00+00:00"),
        ("2026-11-01T07:00:00+00:00", "2026-11-02T08:00:00+00:00"),
    ],
)
def test_a_day_quota_rests_to_midnight_pacific_whatever_the_delay(now: str, until: str) -> None:
    verdict = answer(429, "", failure(quota(PER_DAY)), retry("18s"), now=datetime.fromisoformat(now))

    assert verdict.rest == Rest(ParkReason.PER_DAY, datetime.fromisoformat(until), PER_DAY)
    assert next_pacific_midnight(datetime.fromisoformat(now)) == datetime.fromisoformat(until)


@pytest.mark.parametrize(
    ("message", "violation", "per_day"),
    [
        ("", quota(PER_DAY, quotaValue="250"), 250),
        ("", quota(PER_DAY, quotaValue=250), 250),
        ("limit: 20, model: x", quota(PER_DAY), 20),
        ("limit: 20, model: x", quota(PER_DAY, quotaValue="250"), 250),
        # Two limits in one message: nobody knows which is whose.
        ("limit: 20, model: x; limit: 5, model: x", quota(PER_DAY), 0),
        ("", quota(PER_DAY), 0),
        ("", quota(PER_DAY, quotaValue="many"), 0),
        ("", quota(PER_DAY, quotaValue="12345678901"), 0),
        ("", quota(PER_DAY, quotaValue="٣"), 0),
        ("", quota("GenerateContentInputTokensPerDayPerModel", quotaValue="1000000"), 0),
        ("", quota("GenerateRequestsPerMinutePerProjectPerModel", quotaValue="10"), 0),
    ],
)
def test_a_day_quota_tells_how_many_requests_it_grants(message: str, violation: dict[str, Any], per_day: int) -> None:
    rest = answer(429, message, failure(violation)).rest

    assert rest is not None
    assert rest.per_day == per_day


def test_of_several_violations_the_longest_wins() -> None:
    verdict = answer(
        429, "", failure(quota("PerMinutePerModel"), quota(PER_DAY), quota("TokensPerMinutePerModel")), retry("47s")
    )

    assert verdict.rest == Rest(ParkReason.PER_DAY, MIDNIGHT, PER_DAY)


def test_a_day_quota_may_be_over_sooner_than_a_delay() -> None:
    just_before = MIDNIGHT - timedelta(seconds=10)

    verdict = answer(429, "", failure(quota(PER_DAY), quota("PerMinutePerModel")), retry("40s"), now=just_before)

    assert verdict.rest is not None
    assert verdict.rest.until == just_before + timedelta(seconds=40)


@pytest.mark.parametrize("details", [[], [failure(quota(PER_DAY))], [failure(quota(PER_DAY, quotaValue="0"))]])
def test_a_limit_of_zero_means_that_the_model_is_not_offered(details: list[dict[str, Any]]) -> None:
    message = "* Quota exceeded for metric: x/free_tier_requests, limit: 0, model: gemini-2.5-pro\nPlease retry in 5s."

    verdict = answer(429, message, *details, retry("5s"))

    assert verdict.rest is not None
    assert verdict.rest.reason is ParkReason.NOT_OFFERED
    assert verdict.rest.until == TOMORROW


def test_a_limit_of_zero_point_something_or_of_more_is_not_zero() -> None:
    for message in ("limit: 0.5, model: x", "limit: 05, model: x", "limit: 20, model: x"):
        rest = answer(429, message, failure(quota(PER_DAY))).rest
        assert rest is not None
        assert rest.reason is ParkReason.PER_DAY


def test_a_quota_of_the_whole_project_rests_the_whole_key_but_a_search_quota_does_not() -> None:
    whole = answer(429, "", failure({"quotaId": "GenerateRequestsPerDayPerProject"}))
    search = answer(429, "", failure({"quotaId": "GroundedQueriesPerDayPerProject"}))

    assert whole.rest == Rest(ParkReason.PER_DAY, MIDNIGHT, "GenerateRequestsPerDayPerProject", whole_key=True)
    assert search.rest == Rest(ParkReason.PER_DAY, MIDNIGHT, "GroundedQueriesPerDayPerProject", whole_key=False)


def test_an_error_in_a_one_element_array_is_read_too() -> None:
    body = b'[{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}]'

    assert judge(400, body, NOW).disable == "API key not valid. Please pass a valid API key."


@pytest.mark.parametrize(
    "secret", ["AIzaSyA1234567890abcdefghijklmnopqrstuv", "AQ.Ab8RN6KxyzABCDEFGHIJKLMNOP-_", "ya29.a0AfH6SMBx-_y.z"]
)
def test_a_key_in_googles_message_is_masked(secret: str) -> None:
    verdict = answer(403, f"Permission denied: Consumer 'api_key:{secret}' has\nbeen suspended.")

    assert verdict.message == "Permission denied: Consumer 'api_key:***' has been suspended."
    assert verdict.disable == verdict.message


def test_a_page_is_nobodys_fault_and_names_the_status() -> None:
    page = b"<!DOCTYPE html><html><title>Error 403 (Forbidden)!!1</title>"

    for status in (301, 302, 400, 401, 403, 404, 429, 502):
        assert judge(status, page, NOW) == Verdict(Outcome.UNAVAILABLE, status, f"HTTP {status}")


def test_too_large_a_request_is_not_tried_again_although_google_sends_a_page() -> None:
    assert judge(413, b"<html>too large</html>", NOW).outcome is Outcome.BAD_REQUEST


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (204, Outcome.UNAVAILABLE),
        (307, Outcome.UNAVAILABLE),
        (400, Outcome.BAD_REQUEST),
        (401, Outcome.KEY_REJECTED),
        (403, Outcome.KEY_REJECTED),
        (404, Outcome.NOT_FOUND),
        (408, Outcome.UNAVAILABLE),
        (409, Outcome.UNAVAILABLE),
        (422, Outcome.BAD_REQUEST),
        (429, Outcome.RATE_LIMITED),
        (499, Outcome.UNAVAILABLE),
        (500, Outcome.UNAVAILABLE),
        (529, Outcome.UNAVAILABLE),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b'{"error": "no"}', b'{"error": {}}', b"\xff\xfe", b"nope"]
)
def test_an_unreadable_body_is_judged_by_its_status(status: int, outcome: Outcome, body: bytes) -> None:
    assert judge(status, body, NOW).outcome is outcome


def test_an_answer_about_something_the_request_names_does_not_rest_the_key() -> None:
    file = answer(403, "You do not have permission to access the File abc or it may not exist.")
    cache = answer(404, "CachedContent not found (or permission denied)")

    assert (file.outcome, file.rest, file.disable) == (Outcome.KEY_REJECTED, None, None)
    assert (cache.outcome, cache.rest) == (Outcome.NOT_FOUND, None)


def test_a_model_retired_for_new_users_is_marked_for_this_key() -> None:
    verdict = answer(404, "This model models/gemini-2.0-flash is no longer available to new users.")

    assert verdict.rest == not_offered()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(["@type", "violations", "retryDelay", "quotaId", "quotaDimensions", "reason", "metadata"])
types = st.sampled_from(
    [f"type.googleapis.com/google.rpc.{name}" for name in ("QuotaFailure", "RetryInfo", "ErrorInfo")]
)


@settings(deadline=None)
@given(
    st.integers(201, 599),
    st.lists(st.dictionaries(names, json_values | types, max_size=4) | json_values, max_size=3) | json_values,
    st.text(max_size=20),
)
def test_no_shape_of_an_answer_makes_it_fail(status: int, details: object, message: str) -> None:
    document = {"error": {"message": message, "details": details}}

    verdict = judge(status, json.dumps(document).encode(), NOW)

    assert verdict.message
    if verdict.rest and verdict.rest.until:
        assert NOW < verdict.rest.until <= NOW + timedelta(hours=25)
