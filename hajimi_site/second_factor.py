"""A second factor for an admin who wants one: an app's codes, and recovery codes for the day the phone is gone."""

from __future__ import annotations

import secrets
from typing import Any, Final

import segno
from django import forms
from django.contrib.auth import SESSION_KEY, authenticate
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django_otp import login
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.widgets import UnfoldAdminTextInputWidget

from hajimi_site.models import DigestedCodes, SealedDevice, digest_of, sealed_seed
from proxy.desk.history import note
from proxy.desk.password_form import PasswordForm

RECOVERY_CODES: Final = 8
SEED_BYTES: Final = 20


class CodeForm(forms.Form):
    """The code that the app shows now."""

    code = forms.CharField(
        label=_("Code from your app"),
        max_length=20,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )


def is_used() -> bool:
    """True when any admin has set up a second factor."""
    return bool(TOTPDevice.objects.filter(confirmed=True).exists())


def is_set_up(user: Any) -> bool:
    """True when this admin has to bring a code."""
    return bool(TOTPDevice.objects.filter(user=user, confirmed=True).exists())


def matching(user: Any, code: str) -> Any:
    """Return the device that accepts the code, or None; devices pause for longer after each wrong one."""
    code = code.replace(" ", "")
    with transaction.atomic():
        for kind in (SealedDevice, DigestedCodes):
            for device in kind.objects.devices_for_user(user, confirmed=True).select_for_update():
                if device.verify_token(code):
                    return device
    return None


def remove(user: Any) -> int:
    """Take an admin's second factor away; return how many devices that were."""
    with transaction.atomic():
        removed = sum(kind.objects.filter(user=user).delete()[0] for kind in (TOTPDevice, StaticDevice))
    return int(removed)


def view(site: Any, request: HttpRequest) -> HttpResponse:
    """The page where an admin sets up the own second factor, or takes it away."""
    context = {**site.each_context(request), "title": _("Second factor")}
    context |= _removed(request) if is_set_up(request.user) else _set_up(request)
    return TemplateResponse(request, "admin/second_factor.html", context)


def _set_up(request: HttpRequest) -> dict[str, Any]:
    """Show a QR code; once a code of it comes back, the second factor holds."""
    device = _waiting(request.user)
    form = CodeForm(request.POST if "code" in request.POST else None)
    if form.is_valid():
        if device.verify_token(form.cleaned_data["code"].replace(" ", "")):
            return {"codes": _confirm(request, device), "is_on": True}
        form.add_error("code", _("This is not the code that the app shows now. Check the phone's clock."))
    qr = segno.make(device.config_url).svg_data_uri(scale=5, border=3, light="#fff")
    secret = device.config_url.partition("secret=")[2].partition("&")[0]
    return {"form": form, "qr": qr, "secret": secret}


def _waiting(user: Any) -> Any:
    """Return the device that waits for its first code; one whose seed cannot be read begins anew."""
    seed = sealed_seed(secrets.token_bytes(SEED_BYTES))
    device, _made = SealedDevice.objects.get_or_create(
        user=user, confirmed=False, defaults={"name": "app", "key": seed}
    )
    if not device.is_readable:
        device.key = seed
        device.save(update_fields=["key"])
    return device


def _confirm(request: HttpRequest, device: Any) -> list[str]:
    """Let the device hold from now on, and return fresh recovery codes."""
    with transaction.atomic():
        device.confirmed = True
        device.save()
        StaticDevice.objects.filter(user=request.user).delete()
        recovery = StaticDevice.objects.create(user=request.user, name="recovery")
        codes = [StaticToken.random_token() for _ in range(RECOVERY_CODES)]
        StaticToken.objects.bulk_create(StaticToken(device=recovery, token=digest_of(code)) for code in codes)
        note(request.user, [_user(request)], _now("Set up a second factor."))
        _end_other_sessions(request)
    login(request, device)
    return codes


def _end_other_sessions(request: HttpRequest) -> None:
    """Log this admin out everywhere else: those sessions were opened without a code."""
    others = Session.objects.exclude(session_key=request.session.session_key)
    for session in others.filter(expire_date__gt=timezone.now()):
        if session.get_decoded().get(SESSION_KEY) == str(request.user.pk):
            session.delete()


def _removed(request: HttpRequest) -> dict[str, Any]:
    """Ask for the password, then take the second factor away."""
    form = PasswordForm(request.POST if "password" in request.POST else None)
    if form.is_valid():
        name = request.user.get_username()
        if authenticate(request, username=name, password=form.cleaned_data["password"]) is not None:
            remove(request.user)
            note(request.user, [_user(request)], _now("Took the second factor away."))
            return {"is_removed": True}
        form.add_error("password", _("This is not your password."))
    left = StaticToken.objects.filter(device__user=request.user).count()
    return {"form": form, "is_on": True, "left": left}


def _user(request: HttpRequest) -> Any:
    """Return the row itself: a wrapped one has no content type of its own."""
    return User.objects.get(username=request.user.get_username())
