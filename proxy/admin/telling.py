"""Forms whose history tells values, and that lose to a faster admin in words."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import messages
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin

from keys.admin.discreet import DiscreetSearch
from keys.enrolling import PasswordTaken
from proxy.desk import history


class PatientAdmin(DiscreetSearch, ModelAdmin):  # type: ignore[misc]
    """Looks once more when another admin took a name, key or password between this form's checks and its saving.

    ``unshown`` names the fields that come back empty when a form has errors.
    """

    unshown: ClassVar[tuple[str, ...]] = ()

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The second time, the form's own checks see the other's row and say so at the field."""
        try:
            answer: HttpResponse = super().changeform_view(request, *args, **kwargs)
        except (IntegrityError, PasswordTaken):
            answer = super().changeform_view(request, *args, **kwargs)
        return answer

    def render_change_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Say that a secret has to be typed again: a form that was sent comes back without it."""
        if any(request.POST.get(name) for name in self.unshown):
            messages.warning(request, _("A key or password is never shown again: type or paste it once more."))
        answer: HttpResponse = super().render_change_form(request, *args, **kwargs)
        return answer


class TellingAdmin(PatientAdmin):
    """Writes into the history what a form changed, from which value to which."""

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """Tell the values, never a password; limits for models as Django tells them."""
        if add:
            return super().construct_change_message(request, form, formsets, add)
        told: list[Any] = super().construct_change_message(request, form, formsets, add)
        rows = [one for one in told if "name" in one.get("changed", one.get("added", one.get("deleted", {})))]
        sentences = [history.changes(form), *(history.inline_change(one) for one in rows)]
        return "; ".join(filter(None, sentences))
