"""Members and groups in the admin. A password is shown once, when it is made."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from keys import enrolling
from keys.models import Group, Member

_LIMITS = ("requests_per_minute", "requests_per_day", "tokens_per_day")
_REFUSALS = {
    enrolling.BadPassword: _("A password is printable ASCII, without spaces at its ends."),
    enrolling.PasswordTaken: _("Another member has this password; each member needs a password of their own."),
}


class MemberForm(forms.ModelForm):  # type: ignore[type-arg]
    """A member; the password is taken and never shown again."""

    password = forms.CharField(
        label=_("Password"),
        required=False,
        strip=False,
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "size": 40}),
    )

    field_order = ("name", "password")

    class Meta:
        model = Member
        fields = ("name", "group", *_LIMITS, "enabled", "expires_at", "note")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "password" in self.fields:
            self.fields["password"].help_text = (
                _("Empty: it stays as it is.") if self.instance.pk else _("Empty: one is made, and shown once.")
            )

    def clean_password(self) -> str:
        """Refuse what cannot be typed everywhere, and another member's password."""
        password: str = self.cleaned_data["password"]
        if not password:
            return ""
        try:
            enrolling.usable_digest(password, self.instance)
        except (enrolling.BadPassword, enrolling.PasswordTaken) as error:
            raise forms.ValidationError(_REFUSALS[type(error)]) from None
        return password


@admin.register(Member)
class MemberAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Members, their limits and passwords."""

    form = MemberForm
    list_display = ("name", "group", "state", *_LIMITS, "expires_at", "source")
    list_filter = ("enabled", "group", "source")
    list_select_related = ("group",)
    search_fields = ("name", "note")
    fields = ("name", "password", "group", *_LIMITS, "enabled", "expires_at", "note")
    actions = ("rotate_password", "disable", "enable")

    @admin.display(description=_("state"))
    def state(self, member: Member) -> str:
        """Say whether the member gets in, and if not, why."""
        if not member.enabled:
            return _now("disabled")
        if member.expires_at and member.expires_at <= timezone.now():
            return _now("expired")
        return _now("enabled") if enrolling.is_open(member) else _now("has no password")

    def save_model(self, request: HttpRequest, obj: Member, form: Any, change: bool) -> None:
        """Save the member, with the password that was typed or, for a new one, made."""
        password: str = form.cleaned_data.get("password", "")
        if change and not password:
            super().save_model(request, obj, form, change)
            return
        made = enrolling.give_password(obj, password)
        if not password:
            self.message_user(
                request,
                _now("The password of %(name)s, shown only now: %(password)s") % {"name": obj.name, "password": made},
                messages.WARNING,
            )

    @admin.action(description=_("New password for selected members"), permissions=["change"])
    def rotate_password(self, request: HttpRequest, queryset: QuerySet[Member]) -> HttpResponse:
        """Make new passwords; the page that shows them is the only place they ever stand."""
        made = [(member.name, enrolling.give_password(member)) for member in queryset]
        context = {**self.admin_site.each_context(request), "passwords": made, "opts": self.opts}
        context["title"] = _("New passwords")
        return TemplateResponse(request, "admin/keys/member/passwords.html", context)

    @admin.action(description=_("Disable selected members"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Member]) -> None:
        """Refuse members from the next request on."""
        count = _switch(queryset, False)
        self.message_user(request, ngettext("%d member disabled.", "%d members disabled.", count) % count)

    @admin.action(description=_("Enable selected members"), permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Member]) -> None:
        """Let members in again."""
        count = _switch(queryset, True)
        self.message_user(request, ngettext("%d member enabled.", "%d members enabled.", count) % count)


@admin.register(Group)
class GroupAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Groups and the limits that their members inherit."""

    list_display = ("name", *_LIMITS, "member_count")
    search_fields = ("name", "note")
    fields = ("name", *_LIMITS, "note")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        """Count the members along."""
        queryset: QuerySet[Group] = super().get_queryset(request)
        return queryset.annotate(counted=Count("members"))

    @admin.display(description=_("members"), ordering="counted")
    def member_count(self, group: Group) -> int:
        """Show how many members the group has."""
        return int(getattr(group, "counted", 0))


def _switch(members: QuerySet[Member], enabled: bool) -> int:
    """Enable or disable members one by one: each save tells the runtime."""
    count = 0
    for member in members.exclude(enabled=enabled):
        member.enabled = enabled
        member.save(update_fields=["enabled"])
        count += 1
    return count
