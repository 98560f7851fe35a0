"""Keys in the admin: add, import, disable, enable. A secret is taken, and never shown again."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from keys import switching, vault
from keys.importing import Imported, Parsed, import_keys, is_usable, parse_keys
from keys.models import Key, Park, Source

_SHOWN_PARKS = 3


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A key without its secret, which stays as it is."""

    class Meta:
        model = Key
        fields = ("label", "kind", "daily_limit")


class NewKeyForm(KeyForm):
    """A key and its secret, pasted."""

    secret = forms.CharField(
        label=_("Key"),
        strip=True,
        max_length=300,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "size": 60}),
        help_text=_("As Google shows it. It is stored encrypted and never shown again."),
    )

    field_order = ("secret", "label", "kind", "daily_limit")

    def clean_secret(self) -> str:
        """Refuse what cannot be a key, and a key that is in the pool already."""
        secret: str = self.cleaned_data["secret"]
        if not is_usable(secret):
            raise forms.ValidationError(_("A key is visible ASCII without spaces. To add several, use Import."))
        known = Key.objects.filter(digest=vault.digest(secret)).first()
        if known is not None:
            raise forms.ValidationError(_("This key is already there: %(key)s"), params={"key": known})
        return secret

    def save(self, commit: bool = True) -> Key:
        """Encrypt the secret into the row."""
        secret = self.cleaned_data["secret"]
        self.instance.ciphertext = vault.encrypt(secret)
        self.instance.digest = vault.digest(secret)
        self.instance.tail = vault.tail(secret)
        self.instance.source = Source.ADMIN
        saved: Key = super().save(commit)
        return saved


class ImportForm(forms.Form):
    """Many keys, pasted in any shape."""

    keys = forms.CharField(
        label=_("Keys"),
        widget=forms.Textarea(attrs={"rows": 16, "cols": 80, "autocomplete": "off", "spellcheck": "false"}),
        help_text=_("Separated by anything: commas, spaces, new lines, quotes. Keys that are already there stay."),
    )


class StateFilter(admin.SimpleListFilter):
    """Keys by whether the pool may use them."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Name the states."""
        return [("ready", _("ready")), ("parked", _("parked")), ("disabled", _("disabled"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Key]) -> QuerySet[Key]:
        """Return the keys in the chosen state."""
        parked = Park.objects.filter(until__gt=timezone.now()).values("key_id")
        enabled = queryset.filter(disabled_by=Key.DisabledBy.NOBODY)
        match self.value():
            case "ready":
                return enabled.exclude(pk__in=parked)
            case "parked":
                return enabled.filter(pk__in=parked)
            case "disabled":
                return queryset.exclude(disabled_by=Key.DisabledBy.NOBODY)
        return queryset


@admin.register(Key)
class KeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The list shows the last four characters of each key, and its state."""

    list_display = ("__str__", "shown_tail", "kind", "source", "state", "daily_limit", "created_at")
    list_filter = (StateFilter, "kind", "source", "disabled_by")
    list_per_page = 200
    search_fields = ("label", "tail", "disabled_reason")
    readonly_fields = ("shown_tail", "source", "state", "disabled_by", "disabled_reason", "created_at")
    actions = ("disable", "enable")

    def get_form(self, request: HttpRequest, obj: Key | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Ask for the secret of a new key only."""
        return super().get_form(request, obj, change, form=KeyForm if obj else NewKeyForm, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Key | None = None) -> tuple[str, ...]:
        """Show what is known only of a key that is there."""
        if obj is None:
            return NewKeyForm.field_order
        return ("label", "kind", "daily_limit", *self.readonly_fields)

    def get_readonly_fields(self, request: HttpRequest, obj: Key | None = None) -> tuple[str, ...]:
        """Show what is known only of a key that is there."""
        return self.readonly_fields if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Key]:
        """Bring the parks that still run along."""
        parks = Park.objects.filter(until__gt=timezone.now()).order_by("until")
        return super().get_queryset(request).prefetch_related(Prefetch("parks", parks, to_attr="running_parks"))

    def get_urls(self) -> list[URLPattern]:
        """Add the import page."""
        page = path("import/", self.admin_site.admin_view(self.import_view), name="keys_key_import")
        return [page, *super().get_urls()]

    @admin.display(description=_("ends in"), ordering="tail")
    def shown_tail(self, key: Key) -> str:
        """Show the last four characters."""
        return f"…{key.tail}"

    @admin.display(description=_("state"))
    def state(self, key: Key) -> str:
        """Say whether the pool may use the key, and if not, why and until when."""
        if not key.is_enabled:
            reason = key.disabled_reason or key.get_disabled_by_display()
            return _now("disabled: %(reason)s") % {"reason": reason}
        parks = getattr(key, "running_parks", [])
        if not parks:
            return _now("ready")
        shown = ", ".join(_park(park) for park in parks[:_SHOWN_PARKS])
        return shown + ("" if len(parks) <= _SHOWN_PARKS else f" (+{len(parks) - _SHOWN_PARKS})")

    @admin.action(description=_("Disable selected keys"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Key]) -> None:
        """Take keys out of the pool."""
        count = sum(switching.disable(key) for key in queryset)
        self.message_user(request, ngettext("%d key disabled.", "%d keys disabled.", count) % count)

    @admin.action(description=_("Enable selected keys"), permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Key]) -> None:
        """Bring keys back into the pool."""
        count = sum(switching.enable(key) for key in queryset)
        self.message_user(request, ngettext("%d key enabled.", "%d keys enabled.", count) % count)

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Take a text with many keys."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ImportForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            self._import(request, parse_keys(form.cleaned_data["keys"]))
            return HttpResponseRedirect(reverse(f"{self.admin_site.name}:keys_key_changelist"))
        context = {**self.admin_site.each_context(request), "form": form, "opts": self.opts, "title": _("Import keys")}
        return TemplateResponse(request, "admin/keys/key/import.html", context)

    def _import(self, request: HttpRequest, parsed: Parsed) -> None:
        imported = import_keys(parsed.keys, Source.ADMIN)
        level = messages.SUCCESS if parsed.keys else messages.WARNING
        self.message_user(request, _import_sentence(parsed, imported), level)
        if parsed.malformed:
            shown = ", ".join(parsed.malformed[:10]) + (" …" if len(parsed.malformed) > 10 else "")
            self.message_user(
                request,
                _now("Not a key, left out (first letters and length): %(words)s") % {"words": shown},
                messages.WARNING,
            )


def _park(park: Park) -> str:
    until = localize(timezone.localtime(park.until))
    return _now("%(model)s parked until %(until)s") % {"model": park.model or "*", "until": until}


def _import_sentence(parsed: Parsed, imported: Imported) -> str:
    return _now("%(added)d added, %(known)d already there (%(revived)d of them came back), %(again)d repeated.") % {
        "added": imported.added,
        "known": imported.known,
        "revived": imported.revived,
        "again": parsed.duplicates,
    }
