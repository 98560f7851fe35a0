"""Rows about requests and how they are served: logs, attempts, models, settings."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from keys.models import Key, Member


class Outcome(models.TextChoices):
    """How a request or an attempt ended, in words for people. The values are keys.rules.Outcome's."""

    ANSWERED = "answered", _("answered")
    PARTIAL = "partial", _("cut after visible output")
    EMPTY = "empty", _("empty answer")
    TRUNCATED = "truncated", _("all tokens went into thoughts")
    BLOCKED = "blocked", _("blocked by Google's filters")
    RATE_LIMITED = "rate_limited", _("rate limited")
    KEY_REJECTED = "key_rejected", _("key rejected")
    NOT_FOUND = "not_found", _("model not found")
    BAD_REQUEST = "bad_request", _("request refused")
    LOCATION = "location", _("location refused")
    UNAVAILABLE = "unavailable", _("upstream failed")
    TIMEOUT = "timeout", _("timed out")
    CUT = "cut", _("connection cut")
    LOST_RACE = "lost_race", _("another attempt was faster")
    CANCELLED = "cancelled", _("client went away")
    NO_KEY = "no_key", _("no key available")
    REFUSED = "refused", _("refused by hajimi")


class RequestLog(models.Model):
    """One request of one client. It never holds what was said."""

    id = models.BigIntegerField(_("request id"), primary_key=True, help_text=_("Also its time: see proxy.request_id."))
    # Without an index: whoever asks for a time asks for ids, which sort by it (proxy.request_id.first).
    started_at = models.DateTimeField(_("time"))
    member = models.ForeignKey(
        Member, null=True, on_delete=models.SET_NULL, db_constraint=False, related_name="+", verbose_name=_("member")
    )
    address = models.CharField(_("address"), max_length=45)
    dialect = models.CharField(_("dialect"), max_length=12)
    model = models.CharField(_("model"), max_length=120)
    stream = models.BooleanField(_("streamed"))
    answers = models.PositiveSmallIntegerField(_("answers asked for"), default=1)
    outcome = models.CharField(_("outcome"), max_length=14, choices=Outcome.choices)
    status = models.PositiveSmallIntegerField(_("HTTP status"))
    code = models.CharField(_("error code"), max_length=40, blank=True, default="")
    message = models.CharField(_("message"), max_length=300, blank=True, default="")
    attempt_count = models.PositiveSmallIntegerField(_("attempts"), default=0)
    prompt_tokens = models.PositiveIntegerField(_("prompt tokens"), default=0)
    completion_tokens = models.PositiveIntegerField(_("completion tokens"), default=0)
    thought_tokens = models.PositiveIntegerField(_("thought tokens"), default=0)
    cached_tokens = models.PositiveIntegerField(_("cached tokens"), default=0)
    first_output_ms = models.PositiveIntegerField(_("first output, ms"), null=True)
    duration_ms = models.PositiveIntegerField(_("duration, ms"))

    class Meta:
        verbose_name = _("request log")
        verbose_name_plural = _("request logs")
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("member", "-id"), name="log_by_member"),
            models.Index(fields=("model", "-id"), name="log_by_model"),
            models.Index(fields=("outcome", "-id"), name="log_by_outcome"),
        )

    def __str__(self) -> str:
        from proxy import request_id

        return request_id.shown(self.id)


class Attempt(models.Model):
    """One try of one request with one key."""

    request = models.ForeignKey(
        RequestLog, on_delete=models.CASCADE, db_constraint=False, related_name="attempts", verbose_name=_("request")
    )
    number = models.PositiveSmallIntegerField(_("number"))
    # Its index is the one below, which holds all that the list of keys asks for.
    key = models.ForeignKey(
        Key,
        null=True,
        on_delete=models.SET_NULL,
        db_constraint=False,
        db_index=False,
        related_name="attempts",
        verbose_name=_("key"),
    )
    model = models.CharField(_("model"), max_length=120)
    outcome = models.CharField(_("outcome"), max_length=14, choices=Outcome.choices)
    status = models.PositiveSmallIntegerField(_("upstream status"), null=True)
    quota_id = models.CharField(_("quota"), max_length=160, blank=True, default="")
    message = models.CharField(_("message"), max_length=300, blank=True, default="")
    started_at = models.DateTimeField(_("time"))
    duration_ms = models.PositiveIntegerField(_("duration, ms"))

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ("request", "number")
        indexes = (models.Index(fields=("key", "started_at", "outcome"), name="attempt_by_key"),)

    def __str__(self) -> str:
        return f"{self.request_id}/{self.number}"


class BlockedModel(models.Model):
    """A model name or glob that nobody may see or use."""

    pattern = models.CharField(_("name or glob"), max_length=120, unique=True)
    note = models.CharField(_("note"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("blocked model")
        verbose_name_plural = _("blocked models")
        ordering = ("pattern",)

    def __str__(self) -> str:
        return self.pattern


class UpstreamModel(models.Model):
    """A model that at least one of our keys can reach, as Google's list described it."""

    name = models.CharField(_("name"), max_length=120, unique=True, help_text=_("Without models/."))
    display_name = models.CharField(_("display name"), max_length=200, blank=True)
    methods = models.JSONField(_("methods"), default=list)
    input_token_limit = models.PositiveIntegerField(_("input limit"), null=True)
    output_token_limit = models.PositiveIntegerField(_("output limit"), null=True)
    description = models.JSONField(_("as Google described it"), default=dict)
    seen_at = models.DateTimeField(_("last seen"))

    class Meta:
        verbose_name = _("upstream model")
        verbose_name_plural = _("upstream models")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class ThoughtSignature(models.Model):
    """What Gemini wants back with one of its tool calls. Encrypted: it derives from what was said."""

    call_id = models.CharField(max_length=64, primary_key=True)
    ciphertext = models.TextField()
    created_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.call_id


class RecordingWish(models.Model):
    """A member wants the next requests recorded."""

    member = models.OneToOneField(Member, on_delete=models.CASCADE)
    left = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.member_id}: {self.left}"


class Recording(models.Model):
    """One recorded request of a member, encrypted with that member's password."""

    member = models.ForeignKey(Member, on_delete=models.CASCADE)
    ciphertext = models.TextField()
    created_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return str(self.pk)


class Revision(models.Model):
    """One row whose number moves whenever something the runtime is made of has changed."""

    number = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.number)


def _whole(least: int, most: int | None = None) -> models.IntegerField[int | None, int | None]:
    validators = [MinValueValidator(least), *([MaxValueValidator(most)] if most is not None else [])]
    return models.IntegerField(null=True, blank=True, validators=validators)


def _seconds(least: float, most: float) -> models.FloatField[float | None, float | None]:
    return models.FloatField(null=True, blank=True, validators=[MinValueValidator(least), MaxValueValidator(most)])


class Settings(models.Model):
    """One row. An empty field inherits the environment; a saved value wins from the next request on.

    Fields are those of proxy.behaviour.Behaviour, by name; a test keeps them equal.
    """

    max_requests_per_minute = _whole(0)
    max_requests_per_day_per_ip = _whole(0)
    api_key_daily_limit = _whole(0)
    fake_streaming = models.BooleanField(null=True, blank=True)
    max_empty_responses = _whole(0)
    max_attempts = _whole(1, 100)
    concurrent_requests = _whole(1, 20)
    increase_concurrent_on_failure = _whole(0, 20)
    max_concurrent_requests = _whole(1, 20)
    max_concurrent_per_key = _whole(0)
    random_string = models.BooleanField(null=True, blank=True)
    random_string_length = _whole(1, 1000)
    search_mode = models.BooleanField(null=True, blank=True)
    search_prompt = models.TextField(blank=True, default="")
    list_sources = models.BooleanField(null=True, blank=True)
    blocked_models = models.TextField(blank=True, default="")
    allowed_models = models.TextField(blank=True, default="")
    extra_models = models.TextField(blank=True, default="")
    fetch_media = models.BooleanField(null=True, blank=True)
    headers_hold_seconds = _seconds(0, 120)
    heartbeat_seconds = _seconds(0.05, 60)
    upstream_timeout_seconds = _seconds(0.1, 3600)
    log_retention_days = _whole(1, 3650)
    enable_vertex = models.BooleanField(null=True, blank=True)
    key_order = models.CharField(
        max_length=20,
        blank=True,
        default="",
        choices=[
            ("alike", _("all alike")),
            ("ai_studio_first", _("AI Studio keys first")),
            ("vertex_first", _("Vertex AI credentials first")),
        ],
    )

    class Meta:
        verbose_name = _("settings")
        verbose_name_plural = _("settings")

    def __str__(self) -> str:
        return str(_("Settings"))
