"""Changes keys: in and out of the pool, labels, limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from django import forms
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from keys.management.documents import INHERIT, tell
from keys.models import Key
from proxy.admin.key_forms import LabelForm, LimitForm
from proxy.desk import key_deeds
from proxy.desk.history import Admin
from proxy.desk.key_facts import facts_of
from proxy.management.documents import acting, add_verb, check, key_document

Deed = Callable[[Admin, Iterable[Key]], list[Key]]

DEEDS: Final[Mapping[str, tuple[Deed, str, str]]] = {
    "disable": (key_deeds.disable, "disabled", "take keys out of the pool until somebody enables them"),
    "enable": (key_deeds.enable, "enabled", "bring keys back, whoever disabled them"),
    "clear-parks": (key_deeds.clear_parks, "rest no more", "let resting keys serve again at once"),
    "delete": (key_deeds.delete, "deleted", "delete keys that stand in no variable of the environment"),
}
FIELDS: Final[Mapping[str, tuple[str, type[forms.Form], str]]] = {
    "label": ("label", LabelForm, 'the new label; "" takes it away'),
    "limit": ("daily_limit", LimitForm, f"requests per Google day, 0 for no limit, or {INHERIT}"),
}


class Command(BaseCommand):
    help = "Disable, enable, label, limit or delete keys, and clear their parks. `list_keys` prints them."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        for verb, (_deed, _done, told) in DEEDS.items():
            _add_keys(add_verb(verbs, verb, told))
        for verb, (name, _form, told) in FIELDS.items():
            one = add_verb(verbs, verb, f"set the {name.replace('_', ' ')} of keys")
            _add_keys(one)
            one.add_argument("--to", required=True, metavar="VALUE", help=told)

    def handle(self, *args: Any, **options: Any) -> None:
        admin, keys = acting(options["by"]), _keys(options["keys"])
        if options["verb"] in FIELDS:
            name, form_class, _told = FIELDS[options["verb"]]
            form = form_class({name: "" if options["to"] == INHERIT else options["to"]})
            check(form)
            changed, done = key_deeds.set_field(admin, keys, name, form.cleaned_data[name]), "changed"
        else:
            deed, done, _told = DEEDS[options["verb"]]
            if deed is key_deeds.delete and (kept := key_deeds.brought_back(keys)):
                raise CommandError(key_deeds.why_kept(kept))
            changed = deed(admin, keys)
        names = ", ".join(map(str, changed))
        told = {"changed": _documents(changed), "unchanged": len(keys) - len(changed)}
        tell(self, options, told, f"{len(changed)} of {len(keys)} keys {done}{names and f': {names}'}.")


def _add_keys(parser: CommandParser) -> None:
    parser.add_argument("keys", nargs="+", metavar="KEY", help="the number of a key, or … and its last characters")


def _documents(keys: list[Key]) -> list[dict[str, Any]]:
    """Return the keys as they are now; those that are gone, as they were."""
    now_there = {key.pk: key for key in Key.objects.filter(pk__in=[key.pk for key in keys])}
    rows = [now_there.get(key.pk, key) for key in keys]
    facts = facts_of(rows, timezone.now())
    return [key_document(key, facts[key.pk]) for key in rows]


def _keys(words: list[str]) -> list[Key]:
    """Return the keys that are meant, each once. Raises CommandError for a word that means none, or several."""
    found = {key.pk: key for key in map(_key, words)}
    return list(found.values())


def _key(word: str) -> Key:
    tail = word.lstrip("….")
    by_number = word.isascii() and word.isdigit()
    rows = list(Key.objects.filter(pk=int(word)) if by_number and len(word) < 19 else Key.objects.filter(tail=tail))
    if not rows:
        # Only its end: somebody may have given the whole key.
        raise CommandError(f"There is no key {f'number {word}' if by_number else f'that ends in …{tail[-4:]}'}.")
    if len(rows) > 1:
        numbers = ", ".join(str(key.pk) for key in rows)
        raise CommandError(f"Several keys end in …{tail}; say which by its number: {numbers}.")
    return rows[0]
