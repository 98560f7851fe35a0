"""The form of all behaviour settings: what it inherits, and what happens when two admins save it at one time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from functools import cached_property
from typing import Any, Final

from django import forms
from django.conf import settings
from django.utils.html import format_html
from django.utils.translation import gettext

from keys import limits
from proxy.behaviour import HELP, Behaviour
from proxy.desk import history, merging
from proxy.models import Settings

LISTS: Final = tuple(one.name for one in fields(Behaviour) if one.type == "tuple[str, ...]")
DRAWN: Final = "drawn"


class SettingsForm(forms.ModelForm):  # type: ignore[type-arg]
    """The settings; each help text says what an empty field inherits.

    It carries what stood in it when it was drawn. Fields that another admin has changed since then, and this one
    has not, keep the other's value; where both changed one, nothing is saved until the form is sent once more.
    """

    drawn = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Settings
        fields = tuple(field.name for field in Settings._meta.fields if field.editable and not field.primary_key)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self._settings():
            field.label = name.upper()
            field.help_text = _help(name)
            _dress(name, field)
        self._now = {name: self.initial.get(name) for name, _field in self._settings()}
        self._before = merging.read(self.data.get(DRAWN, "")) if self.is_bound else None
        fresh = merging.Drawn(self._now, history.last_line(Settings, self.instance.pk)).written()
        self.initial[DRAWN] = fresh
        self.merged = self._merged()
        if self._before is not None:
            data: Any = self.data
            self.data = data = data.copy()
            # Shown again, it has told what moved; sent again, it means it.
            data[DRAWN] = fresh
            for name in self.merged.kept:
                data[name] = "" if self._now[name] is None else str(self._now[name])

    @cached_property
    def changed_data(self) -> list[str]:
        """The settings that this admin changed."""
        return [name for name in super().changed_data if name != DRAWN and name not in self.merged.kept]

    def clean(self) -> dict[str, Any]:
        """Refuse lists that hold something else than names of models, and what another admin changed as well."""
        cleaned = super().clean() or self.cleaned_data
        for name in LISTS:
            try:
                limits.names(cleaned.get(name, ""))
            except forms.ValidationError as error:
                self.add_error(name, error)
        if self.merged.clashing:
            self.add_error(
                None, [*self._clashes(), gettext("Nothing is saved yet. Save again to keep what you typed.")]
            )
        return cleaned

    def others(self, names: Iterable[str]) -> dict[str, str]:
        """Return who changed each of these settings since the form was drawn."""
        line = self._before.line if self._before else 0
        changed = history.changed_by(Settings, self.instance.pk, line)
        return {name: changed.get(name.upper()) or gettext("somebody") for name in names}

    def _settings(self) -> Iterable[tuple[str, forms.Field]]:
        return [(name, field) for name, field in self.fields.items() if name != DRAWN]

    def _merged(self) -> merging.Merged:
        if self._before is None:
            return merging.Merged()
        return merging.merge(self._before.values, self._now, self._differs)

    def _differs(self, name: str, value: Any) -> bool:
        typed = self.fields[name].widget.value_from_datadict(self.data, self.files, self.add_prefix(name))
        return self.fields[name].has_changed(value, typed)

    def _clashes(self) -> list[str]:
        before = self._before.values if self._before else {}
        told = gettext("%(name)s was changed by %(who)s while you had this form open: %(before)s → %(now)s.")
        return [
            told
            % {
                "name": name.upper(),
                "who": who,
                "before": history.shown(before[name]),
                "now": history.shown(self._now[name]),
            }
            for name, who in self.others(self.merged.clashing).items()
        ]


def _dress(name: str, field: forms.Field) -> None:
    """Show the inherited value where nothing is typed, and keep lists small."""
    if isinstance(field, forms.NullBooleanField):
        return
    field.widget.attrs["placeholder"] = _shown(getattr(settings.BEHAVIOUR, name))
    if isinstance(field.widget, forms.Textarea):
        field.widget.attrs["rows"] = 3


def _help(name: str) -> str:
    inherited = format_html(gettext("Empty inherits <b>{}</b>."), _shown(getattr(settings.BEHAVIOUR, name)))
    return format_html("{} {} {}", gettext(HELP[name]), inherited, _span(name))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, tuple):
        return ", ".join(value) or gettext("nothing")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _span(name: str) -> str:
    [field] = (one for one in fields(Behaviour) if one.name == name)
    least, most = field.metadata.get("least"), field.metadata.get("most")
    if least is None:
        return ""
    if most is None:
        return gettext("Allowed: %(least)s or more.") % {"least": least}
    return gettext("Allowed: %(least)s to %(most)s.") % {"least": least, "most": most}
