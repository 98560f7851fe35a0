"""Search boxes that never write a secret into a page."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _

from keys.redacting import redact


class DiscreetSearch:
    """A list of the admin. A key or a password pasted into its search leaves the address and the page at once."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list; without the search when that holds a secret."""
        term = request.GET.get("q", "")
        if redact(term) == term:
            answer: HttpResponse = super().changelist_view(request, extra_context)  # type: ignore[misc]
            return answer
        told = _("What was searched for looks like a key or a password. It is not looked for here, and not shown.")
        messages.warning(request, told)
        rest = request.GET.copy()
        del rest["q"]
        return HttpResponseRedirect(f"{request.path}?{rest.urlencode()}")
