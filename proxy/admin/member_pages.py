"""Pages about members beside the list and the form: new passwords, many members at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from keys import enrolling
from keys.models import Member
from proxy.admin.member_forms import BulkForm
from proxy.desk.connecting import connection
from proxy.desk.history import added


def passwords_page(
    model_admin: Any, request: HttpRequest, made: Iterable[tuple[str, str]], title: str, *, renewed: bool = False
) -> HttpResponse:
    """Show new passwords: this answer is the only place where they ever stand. ``renewed``: others ended for them."""
    connections = [connection(request, name, password) for name, password in made]
    context = {**model_admin.admin_site.each_context(request), "opts": model_admin.opts, "title": title}
    return TemplateResponse(
        request, "admin/keys/member/passwords.html", context | {"connections": connections, "renewed": renewed}
    )


def bulk_view(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Make many members, and show their passwords as a list to print."""
    if not model_admin.has_add_permission(request):
        raise PermissionDenied
    form = BulkForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            made = _make(request, form.cleaned_data)
        except IntegrityError:
            # Another admin took one of the names in between; now it is seen, and left out.
            made = _make(request, form.cleaned_data)
        return passwords_page(model_admin, request, made, _("New members"))
    context = {**model_admin.admin_site.each_context(request), "opts": model_admin.opts, "form": form}
    return TemplateResponse(request, "admin/keys/member/bulk.html", context | {"title": _("Add many members")})


@transaction.atomic
def _make(request: HttpRequest, given: dict[str, Any]) -> list[tuple[str, str]]:
    """Create all of them or none."""
    fields = {name: given[name] for name in ("group", "expires_at", "note")}
    made = [enrolling.enrol(name, **fields) for name in free_names(given["names"], given["count"])]
    added(request.user, [member for member, _password in made])
    return [(member.name, password) for member, password in made]


def free_names(prefix: str, count: int) -> list[str]:
    """Return ``count`` names that nobody has: the prefix and a number, from 1 on."""
    taken = set(Member.objects.filter(name__startswith=prefix).values_list("name", flat=True))
    digits = len(str(count + len(taken))) if count > 9 else 2
    numbered = (f"{prefix}{number:0{digits}}" for number in range(1, count + len(taken) + 1))
    return [name for name in numbered if name not in taken][:count]
