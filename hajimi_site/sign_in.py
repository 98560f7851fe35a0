"""Signing in to the desk: the form, what guesses are counted by, and what those who guess are told."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Any

from asgiref.sync import sync_to_async
from axes.backends import AxesStandaloneBackend
from django import forms
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from unfold.forms import AuthenticationForm

from hajimi_site import guesses, second_factor


class AdminBackend(AxesStandaloneBackend, ModelBackend):  # type: ignore[misc]
    """Checks a password unless its sender has to wait, and keeps account of the wrong ones."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> Any:
        """Return the user. Raises PermissionDenied for a wrong password: no other backend shall work on it again."""
        AxesStandaloneBackend.authenticate(self, request, username=username, password=password, **kwargs)
        user = ModelBackend.authenticate(self, request, username=username, password=password, **kwargs)
        if user is None:
            raise PermissionDenied
        if request is not None:
            guesses.take_back(request)
        return user

    async def aauthenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> Any:
        """Do the same; Django's own would pass the account of guesses by."""
        return await sync_to_async(self.authenticate)(request, username=username, password=password, **kwargs)


class LoginForm(AuthenticationForm):  # type: ignore[misc]
    """Name and password; and a code, in a house where somebody has set up a second factor."""

    code = forms.CharField(
        label=_("Code from your app"),
        required=False,
        max_length=20,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "text", "spellcheck": "false"}),
        help_text=_("Only if you have set up a second factor. A recovery code works too."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if second_factor.is_used():
            self.fields["code"].widget.attrs["class"] = self.fields["username"].widget.attrs["class"]
        else:
            del self.fields["code"]

    def confirm_login_allowed(self, user: Any) -> None:
        """Refuse who may not come in, and who has a second factor and brings no good code."""
        super().confirm_login_allowed(user)
        if not second_factor.is_set_up(user):
            return
        code = self.cleaned_data.get("code", "")
        if not code:
            raise forms.ValidationError(_("Type the code that your app shows, too."), code="no_code")
        device = second_factor.matching(user, code)
        if device is None:
            raise forms.ValidationError(
                _("The code is wrong, or too many were wrong just now. Wait for the next one."), code="bad_code"
            )
        user.otp_device = device


def client_address(request: HttpRequest) -> str:
    """Return what guesses are counted by: the client's true address, the whole /64 of an IPv6 one.

    The address is the one that hajimi_site.addresses has found; no header is looked at again.
    """
    address: str = request.META.get("REMOTE_ADDR") or "0.0.0.0"  # noqa: S104 - nobody binds to it
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return "0.0.0.0"  # noqa: S104 - as above
    return str(IPv6Address(int(ip) >> 64 << 64) if isinstance(ip, IPv6Address) else ip)


def locked_out(request: HttpRequest, response: HttpResponse | None, credentials: Any) -> HttpResponse:
    """Answer who has guessed too often. A right password would not help now, so nothing is learned by trying on."""
    seconds = guesses.waiting_seconds(request)
    answer = render(request, "admin/locked_out.html", {"minutes": ceil(seconds / 60)}, status=429)
    answer["Retry-After"] = str(seconds)
    return answer
