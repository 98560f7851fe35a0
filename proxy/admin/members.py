"""Members and groups in the admin. A password is shown once, when it is made."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import TabularInline
from unfold.forms import PaginationInlineFormSet
from unfold.views import ChangeList

from keys import enrolling, limits
from keys.models import Group, Member, ModelLimit, Source
from proxy.admin.keeping import KeepsEnvironment
from proxy.admin.member_forms import REFUSALS, GroupForm, MemberForm
from proxy.admin.member_pages import bulk_view, passwords_page
from proxy.admin.telling import TellingAdmin
from proxy.desk import history, member_columns, member_deeds
from proxy.desk.key_columns import badge
from proxy.desk.member_facts import MemberFacts, facts_of, latest_requests
from proxy.runtime import current_behaviour

LIMIT_FIELDSETS = (
    (_("Limits"), {"fields": (("requests_per_minute", "parallel_requests"), ("requests_per_day", "tokens_per_day"))}),
    (_("Models"), {"fields": ("allowed_models", "blocked_models")}),
    (_("Way of answering"), {"fields": (("fake_streaming", "random_string"),)}),
)


class ModelLimitForms(PaginationInlineFormSet):  # type: ignore[misc]
    """The rows of limits for models; a form that was sent without them leaves them as they are."""

    def __init__(self, *args: Any, data: Any = None, prefix: str | None = None, **kwargs: Any) -> None:
        prefix = prefix or self.get_default_prefix()
        if data is not None and f"{prefix}-TOTAL_FORMS" not in data:
            data = data.copy()
            data.update({f"{prefix}-{name}": "0" for name in ("TOTAL_FORMS", "INITIAL_FORMS")})
        super().__init__(*args, data=data, prefix=prefix, **kwargs)


class ModelLimitInline(TabularInline):  # type: ignore[misc]
    """Limits for some models."""

    model = ModelLimit
    formset = ModelLimitForms
    fields = ("pattern", *limits.COUNTED)
    extra = 0
    verbose_name_plural = _("limits for models: a name or glob also covers the aliases of its models")


class StateFilter(admin.SimpleListFilter):
    """Members by whether they get in."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Name the states."""
        return [("enabled", _("enabled")), ("disabled", _("disabled")), ("expired", _("expired"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Member]) -> QuerySet[Member]:
        """Return the members in the chosen state."""
        expired = Q(expires_at__lte=timezone.now())
        match self.value():
            case "enabled":
                return queryset.filter(enabled=True).exclude(expired)
            case "disabled":
                return queryset.filter(enabled=False)
            case "expired":
                return queryset.filter(expired, enabled=True)
        return queryset


class MemberList(ChangeList):  # type: ignore[misc]
    """The page's members together with the facts about them."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        """Fetch the page, then what is known about its members, in a few queries."""
        super().get_results(request)
        members: list[Any] = list(self.result_list)
        facts = facts_of(members, current_behaviour())
        for member in members:
            member.facts = facts[member.pk]
        self.result_list = members


@admin.register(Member)
class MemberAdmin(KeepsEnvironment, TellingAdmin):
    """Members, their limits and passwords."""

    form = MemberForm
    unshown = ("password",)
    list_display = ("shown_name", "group", "state", "today", "tokens", "per_minute", "at_once", "last_at", "expires_at")
    list_filter = (StateFilter, "group", "source")
    list_select_related = ("group",)
    list_per_page = 50
    search_fields = ("name", "note", "group__name")
    search_help_text = _("Name, note or group")
    fieldsets = (
        (None, {"fields": ("name", "password", ("group", "enabled"), "expires_at", "note")}),
        *LIMIT_FIELDSETS,
    )
    inlines = (ModelLimitInline,)
    deeds = member_deeds
    actions = ("rotate_password", "disable", "enable", "delete_selected")
    change_form_outer_before_template = "admin/keys/member/buttons.html"
    change_form_outer_after_template = "admin/keys/member/facts.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[MemberList]:
        """Bring the facts along."""
        return MemberList

    def get_urls(self) -> list[URLPattern]:
        """Add the page that makes many."""
        page = path("bulk/", self.admin_site.admin_view(partial(bulk_view, self)), name="keys_member_bulk")
        return [page, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show what the member did below its form."""
        member = self.get_object(request, object_id)
        extra = dict(extra_context or {})
        if member is not None:
            facts = facts_of([member], current_behaviour())[member.pk]
            extra |= {"member": member, "facts": facts, "requests": latest_requests(member)}
        answer: HttpResponse = super().change_view(request, object_id, form_url, extra)
        return answer

    @admin.display(description=_("name"), ordering="name")
    def shown_name(self, member: Member) -> SafeString:
        """Show the name, and say which member the environment brought."""
        source = badge(member.get_source_display()) if member.source == Source.ENVIRONMENT else ""
        return format_html("{} {}", member.name, source)

    @admin.display(description=_("state"), ordering="enabled")
    def state(self, member: Member) -> SafeString:
        """Say whether the member gets in, and if not, why."""
        return member_columns.state(member)

    @admin.display(description=_("requests today"))
    def today(self, member: Member) -> SafeString:
        """Show today's requests against their limit."""
        return member_columns.use(_facts(member).requests)

    @admin.display(description=_("tokens today"))
    def tokens(self, member: Member) -> SafeString:
        """Show today's tokens against their limit."""
        return member_columns.use(_facts(member).tokens)

    @admin.display(description=_("per minute"))
    def per_minute(self, member: Member) -> str:
        """Show the limit in force."""
        return str(_facts(member).per_minute or "–")

    @admin.display(description=_("at one time"))
    def at_once(self, member: Member) -> str:
        """Show the limit in force."""
        return str(_facts(member).at_once or "–")

    @admin.display(description=_("last request"))
    def last_at(self, member: Member) -> Any:
        """Show when the member last asked something."""
        return _facts(member).last_at

    def save_model(self, request: HttpRequest, obj: Member, form: Any, change: bool) -> None:
        """Save the member, with the password that was typed or, for a new one, made."""
        password: str = form.cleaned_data.get("password", "")
        if change and not password:
            super().save_model(request, obj, form, change)
            return
        made = enrolling.give_password(obj, password)
        if not password:
            request.made_password = made  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: Member, post_url_continue: str | None = None) -> HttpResponse:
        """Show a password that was made in the answer itself: it is kept nowhere."""
        made: str | None = getattr(request, "made_password", None)
        if made is not None:
            return passwords_page(self, request, [(obj.name, made)], _now("New member"))
        answer: HttpResponse = super().response_add(request, obj, post_url_continue)
        return answer

    @admin.action(description=_("New password for selected members"), permissions=["change"])
    def rotate_password(self, request: HttpRequest, queryset: QuerySet[Member]) -> HttpResponse:
        """Make new passwords; the earlier ones end at once."""
        following = [member for member in queryset if enrolling.follows_environment(member)]
        members = [member for member in queryset if member not in following]
        if following:
            self.message_user(request, REFUSALS[enrolling.SetByEnvironment], messages.WARNING)
        if not members:
            return HttpResponseRedirect(request.get_full_path())
        made = [(member.name, enrolling.give_password(member)) for member in members]
        history.note(request.user, members, _now("New password."))
        return passwords_page(self, request, made, _now("New passwords"), renewed=True)

    @admin.action(description=_("Disable selected members"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Member]) -> None:
        """Refuse members from the next request on."""
        count = len(member_deeds.disable(request.user, queryset))
        self.message_user(request, ngettext("%d member disabled.", "%d members disabled.", count) % count)

    @admin.action(description=_("Enable selected members"), permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Member]) -> None:
        """Let members in again."""
        count = len(member_deeds.enable(request.user, queryset))
        self.message_user(request, ngettext("%d member enabled.", "%d members enabled.", count) % count)


@admin.register(Group)
class GroupAdmin(TellingAdmin):
    """Groups and the limits that their members inherit."""

    form = GroupForm
    list_display = ("name", "member_count", *limits.NUMBERS, "allowed_models", "blocked_models")
    search_fields = ("name", "note")
    fieldsets = ((None, {"fields": ("name", "note")}), *LIMIT_FIELDSETS)
    inlines = (ModelLimitInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        """Count the members along."""
        queryset: QuerySet[Group] = super().get_queryset(request)
        return queryset.annotate(counted=Count("members"))

    @admin.display(description=_("members"), ordering="counted")
    def member_count(self, group: Group) -> int:
        """Show how many members the group has."""
        return int(getattr(group, "counted", 0))


def _facts(member: Member) -> MemberFacts:
    facts: MemberFacts = member.facts  # type: ignore[attr-defined]
    return facts
