"""Pages about keys beside the list and the form: import, reveal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.auth import authenticate
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from keys import vault
from keys.importing import Credential, Imported, Parsed, import_credentials, parse_keys
from keys.models import Key, Source
from proxy.admin.key_forms import ImportForm
from proxy.desk.history import note
from proxy.desk.password_form import PasswordForm

SHOWN_LINES = 500
# A long import goes in steps, so that its progress is seen: so many keys in each, but never more steps than these.
STEP, MOST_STEPS = 200, 25


def import_view(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Take a text with many keys, and tell line by line what became of it.

    A script sends a long text in steps first (``start``), then once more as any browser would, for the report.
    """
    if not model_admin.has_add_permission(request):
        raise PermissionDenied
    form = ImportForm(request.POST if request.method == "POST" else None)
    context = _context(model_admin, request, _("Import keys")) | {"form": form, "step": STEP}
    if form.is_valid():
        parsed = Parsed({}, ()) if form.accounts else parse_keys(form.cleaned_data["keys"])
        if "start" in request.POST:
            return _step(request, parsed)
        credentials = form.accounts or [Credential.of_key(secret) for secret in parsed.keys]
        imported = _with_steps(_import(request, credentials), parsed, request.POST)
        level = messages.SUCCESS if credentials else messages.WARNING
        model_admin.message_user(request, sentence_of(parsed, imported), level)
        lines, left_out = report(parsed, imported)
        context |= {"form": ImportForm(), "lines": lines, "left_out": left_out}
        context |= {"ids": ",".join(map(str, imported.ids)), "is_done": True}
    elif "start" in request.POST:
        return JsonResponse({}, status=400)
    return TemplateResponse(request, "admin/keys/key/import.html", context)


def _import(request: HttpRequest, credentials: Sequence[Credential]) -> Imported:
    imported = import_credentials(credentials, Source.ADMIN)
    note(request.user, list(Key.objects.filter(pk__in=imported.ids)), _("Imported."))
    return imported


def _step(request: HttpRequest, parsed: Parsed) -> HttpResponse:
    """Import the next keys of a long text; tell where the step after it starts, and what this one brought."""
    start = max(whole_number(request.POST.get("start")), 0)
    end = start + max(STEP, math.ceil(len(parsed.keys) / MOST_STEPS))
    imported = _import(request, [Credential.of_key(secret) for secret in parsed.keys[start:end]])
    done, total = min(end, len(parsed.keys)), len(parsed.keys)
    return JsonResponse({"next": done, "total": total, "ids": imported.ids, "revived": imported.revived})


def _with_steps(imported: Imported, parsed: Parsed, sent: QueryDict) -> Imported:
    """Count what the steps of this text have brought as new, not as what was there before."""
    ids = [whole_number(text) for text in sent.get("imported", "").split(",") if text]
    by_digest = {vault.digest(secret): secret for secret in imported.there_before if secret in parsed.places}
    rows = Key.objects.filter(pk__in=ids).values_list("pk", "digest") if ids else ()
    ours = {by_digest[digest]: pk for pk, digest in rows if digest in by_digest}
    return Imported(
        imported.added + len(ours),
        imported.known - len(ours),
        imported.revived + max(whole_number(sent.get("revived")), 0),
        (*ours.values(), *imported.ids),
        tuple(secret for secret in imported.there_before if secret not in ours),
    )


def whole_number(text: str | None) -> int:
    """Return a number that a script sent; 0 for anything that is none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else 0


def sentence_of(parsed: Parsed, imported: Imported) -> str:
    """Say in one sentence what became of a text."""
    told = _("%(added)d added, %(known)d already there (%(revived)d of them came back), %(again)d repeated.") % {
        "added": imported.added,
        "known": imported.known,
        "revived": imported.revived,
        "again": parsed.duplicates,
    }
    malformed = len(parsed.malformed)
    return told + (" " + _("Not a key: %(count)d.") % {"count": malformed} if malformed else "")


def report(parsed: Parsed, imported: Imported) -> tuple[list[tuple[int, str, str]], int]:
    """Return the first words that brought no new key, each with its line, a hint at it and the reason; and how many
    more there are.
    """
    there_before = sorted(
        (parsed.places[secret], f"…{vault.tail(secret)}") for secret in imported.there_before if secret in parsed.places
    )
    # Each of a million words would be told in the admin's language before the most are left out.
    found = [
        (finding.line, finding.hint, _("not a key; left out"))
        if finding.first_line is None
        else (finding.line, finding.hint, _("stands already in line %(line)d") % {"line": finding.first_line})
        for finding in parsed.findings[:SHOWN_LINES]
    ]
    found += [(line, hint, _("was already there")) for line, hint in there_before[:SHOWN_LINES]]
    lines = sorted(found)[:SHOWN_LINES]
    return lines, len(parsed.findings) + len(there_before) - len(lines)


def reveal_view(model_admin: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """Show one key in full, once, to an admin who types the own password again."""
    key = model_admin.get_object(request, object_id)
    if key is None:
        raise Http404
    if not model_admin.has_change_permission(request, key):
        raise PermissionDenied
    form = PasswordForm(request.POST if request.method == "POST" else None)
    context = _context(model_admin, request, _("Reveal a key")) | {"form": form, "key": key}
    if form.is_valid():
        context["secret"] = _revealed(request, key, form)
    return TemplateResponse(request, "admin/keys/key/reveal.html", context)


def _revealed(request: HttpRequest, key: Key, form: PasswordForm) -> str:
    """Return the secret, or "" with the reason at the form's field. Either is noted in the history."""
    name = request.user.get_username()
    # authenticate(), not check_password(): guesses here are throttled like those of the login.
    user = authenticate(request, username=name, password=form.cleaned_data["password"])
    if user is None or user.pk != request.user.pk:
        note(request.user, [key], _("Tried to reveal the key with a wrong password."))
        form.add_error("password", _("This is not your password."))
        return ""
    try:
        secret = vault.decrypt(key.ciphertext)
    except vault.Undecryptable as error:
        form.add_error(None, str(error))
        return ""
    note(request.user, [key], _("Revealed the key."))
    return secret


def _context(model_admin: Any, request: HttpRequest, title: str) -> dict[str, Any]:
    return {**model_admin.admin_site.each_context(request), "opts": model_admin.opts, "title": title}
