"""Rows about secrets and how much of them is left: keys, parks, members, groups, usage."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from keys import limits


class Source(models.TextChoices):
    """Where a key or member came from."""

    ADMIN = "admin", _("added by an admin")
    ENVIRONMENT = "environment", _("from the environment")


class Secret(models.Model):
    """A secret of this installation itself (the pepper of password digests), encrypted."""

    name = models.CharField(max_length=40, primary_key=True)
    ciphertext = models.TextField()

    class Meta:
        verbose_name = _("secret")
        verbose_name_plural = _("secrets")

    def __str__(self) -> str:
        return self.name


class Key(models.Model):
    """One Google credential. The secret itself is stored encrypted and never shown."""

    class Kind(models.TextChoices):
        """How Google knows this credential."""

        AI_STUDIO = "ai_studio", _("AI Studio key")
        VERTEX_EXPRESS = "vertex_express", _("Vertex express key")
        VERTEX_SERVICE_ACCOUNT = "vertex_service_account", _("Vertex service account")

    class DisabledBy(models.TextChoices):
        """Who took the key out; an admin's choice survives restarts."""

        NOBODY = "", _("not disabled")
        ADMIN = "admin", _("an admin")
        GOOGLE = "google", _("Google's answer")
        ENVIRONMENT = "environment", _("it left the environment")

    kind = models.CharField(_("kind"), max_length=30, choices=Kind.choices, default=Kind.AI_STUDIO)
    ciphertext = models.TextField(editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    tail = models.CharField(_("ends in"), max_length=4, editable=False)
    label = models.CharField(_("label"), max_length=80, blank=True)
    source = models.CharField(_("source"), max_length=12, choices=Source.choices, default=Source.ADMIN, editable=False)
    disabled_by = models.CharField(
        _("disabled by"), max_length=12, choices=DisabledBy.choices, default="", blank=True, editable=False
    )
    disabled_reason = models.CharField(_("reason"), max_length=300, blank=True, default="", editable=False)
    daily_limit = models.PositiveIntegerField(
        _("daily limit"),
        null=True,
        blank=True,
        help_text=_("Requests per Google day (Pacific time). Empty: API_KEY_DAILY_LIMIT."),
    )
    created_at = models.DateTimeField(_("added"), auto_now_add=True)

    class Meta:
        verbose_name = _("key")
        verbose_name_plural = _("keys")
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.label or self.get_kind_display()} …{self.tail}"

    @property
    def is_enabled(self) -> bool:
        """True when the pool may use this key."""
        return not self.disabled_by


class Park(models.Model):
    """A key rests until a moment, for one model or (empty model) for all."""

    class Reason(models.TextChoices):
        """Why a key rests."""

        PER_DAY = "per_day", _("daily quota used up")
        PER_MINUTE = "per_minute", _("minute quota used up")
        RESTING = "resting", _("rate limited without details")
        NOT_OFFERED = "not_offered", _("model not offered to this key")

    key = models.ForeignKey(Key, on_delete=models.CASCADE, related_name="parks", verbose_name=_("key"))
    model = models.CharField(_("model"), max_length=120, blank=True, default="")
    reason = models.CharField(_("reason"), max_length=12, choices=Reason.choices)
    quota_id = models.CharField(_("quota"), max_length=160, blank=True, default="")
    until = models.DateTimeField(_("until"), db_index=True)
    created_at = models.DateTimeField(_("since"))

    class Meta:
        verbose_name = _("park")
        verbose_name_plural = _("parks")
        constraints = (models.UniqueConstraint(fields=("key", "model"), name="one_park_per_key_and_model"),)

    def __str__(self) -> str:
        return f"{self.key} · {self.model or '*'}"


class LearnedLimit(models.Model):
    """How many requests a day Google grants a key for a model (empty: for all), as its last refusal said."""

    key = models.ForeignKey(Key, on_delete=models.CASCADE, related_name="learned_limits", verbose_name=_("key"))
    model = models.CharField(_("model"), max_length=120, blank=True, default="")
    per_day = models.PositiveIntegerField(_("requests per day"))
    learned_at = models.DateTimeField(_("since"))

    class Meta:
        verbose_name = _("learned limit")
        verbose_name_plural = _("learned limits")
        constraints = (models.UniqueConstraint(fields=("key", "model"), name="one_limit_per_key_and_model"),)

    def __str__(self) -> str:
        return f"{self.key} · {self.model or '*'}: {self.per_day}"


class Counted(models.Model):
    """What is counted in minutes and days. Empty: no limit of its own; 0: none at all."""

    requests_per_minute = models.PositiveIntegerField(
        _("requests per minute"), null=True, blank=True, validators=[limits.per_minute]
    )
    requests_per_day = models.PositiveIntegerField(
        _("requests per day"), null=True, blank=True, validators=[limits.per_day]
    )
    tokens_per_day = models.PositiveBigIntegerField(
        _("tokens per day"), null=True, blank=True, validators=[limits.tokens]
    )

    class Meta:
        abstract = True


class Limits(Counted):
    """The limits that a group sets and a member may override. Empty means: ask the next one up."""

    parallel_requests = models.PositiveIntegerField(
        _("parallel requests"), null=True, blank=True, validators=[limits.at_once]
    )
    allowed_models = models.TextField(_("allowed models"), blank=True, default="", validators=[limits.names])
    blocked_models = models.TextField(_("blocked models"), blank=True, default="", validators=[limits.names])
    fake_streaming = models.BooleanField(_("fake streaming"), null=True, blank=True)
    random_string = models.BooleanField(_("random string"), null=True, blank=True)

    class Meta:
        abstract = True


class Group(Limits):
    """Members who share limits."""

    name = models.CharField(_("name"), max_length=80, unique=True, validators=[limits.name])
    note = models.TextField(_("note"), blank=True)

    class Meta:
        verbose_name = _("group")
        verbose_name_plural = _("groups")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Member(Limits):
    """A person with a password of their own. Only the password's digest is stored."""

    name = models.CharField(_("name"), max_length=80, unique=True, validators=[limits.name])
    digest = models.CharField(max_length=64, unique=True, editable=False)
    group = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.SET_NULL, related_name="members", verbose_name=_("group")
    )
    enabled = models.BooleanField(_("enabled"), default=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    source = models.CharField(_("source"), max_length=12, choices=Source.choices, default=Source.ADMIN, editable=False)
    note = models.TextField(_("note"), blank=True)
    created_at = models.DateTimeField(_("added"), auto_now_add=True)

    class Meta:
        verbose_name = _("member")
        verbose_name_plural = _("members")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class ModelLimit(Counted):
    """What a member may have of some models; a group's holds for each of its members who has none for that pattern."""

    member = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.CASCADE, related_name="model_limits", verbose_name=_("member")
    )
    group = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.CASCADE, related_name="model_limits", verbose_name=_("group")
    )
    pattern = models.CharField(_("model name or glob"), max_length=limits.LONGEST_PATTERN, validators=[limits.pattern])

    class Meta:
        verbose_name = _("limit for models")
        verbose_name_plural = _("limits for models")
        ordering = ("pattern",)
        constraints = (
            models.UniqueConstraint(fields=("member", "pattern"), name="one_limit_per_member_and_pattern"),
            models.UniqueConstraint(fields=("group", "pattern"), name="one_limit_per_group_and_pattern"),
            models.CheckConstraint(
                condition=models.Q(member__isnull=True) ^ models.Q(group__isnull=True), name="a_limit_is_one_holders"
            ),
        )

    def __str__(self) -> str:
        return self.pattern

    def clean(self) -> None:
        """Refuse a row that limits nothing."""
        if all(getattr(self, name) is None for name in limits.COUNTED):
            raise ValidationError({"requests_per_day": _("Fill one of the limits, or delete the row.")})


class Usage(models.Model):
    """What one member, address or key has used on one day of one model."""

    class Kind(models.TextChoices):
        """Whose usage this is; a key's day is Google's (Pacific), the others' the day of TZ."""

        MEMBER = "member", _("member")
        ADDRESS = "address", _("address")
        KEY = "key", _("key")

    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    subject = models.CharField(_("subject"), max_length=64, help_text=_("A member's or key's id, or an address."))
    day = models.DateField(_("day"))
    model = models.CharField(_("model"), max_length=120)
    requests = models.BigIntegerField(_("requests"), default=0)
    prompt_tokens = models.BigIntegerField(_("prompt tokens"), default=0)
    completion_tokens = models.BigIntegerField(_("completion tokens"), default=0)

    class Meta:
        verbose_name = _("usage")
        verbose_name_plural = _("usage")
        constraints = (models.UniqueConstraint(fields=("kind", "subject", "day", "model"), name="one_usage_row"),)
        indexes = (models.Index(fields=("day", "kind"), name="usage_by_day_and_kind"),)

    def __str__(self) -> str:
        return f"{self.kind} {self.subject} {self.day} {self.model}"
