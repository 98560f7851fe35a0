"""Blocks models for everybody, and lets them be used again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from keys.management.documents import tell
from proxy.admin.models import BlockedModelForm
from proxy.desk import model_deeds
from proxy.management.documents import acting, add_verb, check
from proxy.models import BlockedModel, UpstreamModel
from proxy.runtime import current_behaviour
from proxy.translation.profiles import NamePatterns


class Command(BaseCommand):
    help = "List Google's models, block models for everybody, or unblock them."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        add_verb(verbs, "list", "print the models our keys see, and what is blocked")
        for verb, told in {"block": "hide and refuse models", "unblock": "let models be used again"}.items():
            one = add_verb(verbs, verb, told)
            one.add_argument("patterns", nargs="+", metavar="NAME", help="a name, or a glob like gemini-*-image")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "list":
            self._list(options)
            return
        admin, patterns = acting(options["by"]), options["patterns"]
        if options["verb"] == "block":
            changed, done = model_deeds.block(admin, map(_clean, patterns)), "blocked"
        else:
            changed, done = (
                model_deeds.unblock(admin, [_row(pattern) for pattern in dict.fromkeys(patterns)]),
                "unblocked",
            )
        names = [row.pattern for row in changed]
        told = {"changed": names, "unchanged": len(set(patterns)) - len(names)}
        tell(self, options, told, f"{', '.join(names) or 'Nothing'} {done}.")

    def _list(self, options: Mapping[str, Any]) -> None:
        rows = list(BlockedModel.objects.order_by("pattern").values_list("pattern", flat=True))
        by_settings = current_behaviour().blocked_models
        is_blocked = NamePatterns((*by_settings, *rows)).matches
        names = UpstreamModel.objects.order_by("name").values_list("name", flat=True)
        models = {name: is_blocked(name) for name in names}
        told = {
            "models": [{"name": name, "blocked": blocked} for name, blocked in models.items()],
            "blocked_here": rows,
            "blocked_by_settings": list(by_settings),
        }
        lines = [f"{name}{' (blocked)' if blocked else ''}" for name, blocked in models.items()]
        lines += [f"Blocked: {', '.join((*by_settings, *rows)) or 'nothing'}."]
        tell(self, options, told, "\n".join(lines))


def _clean(pattern: str) -> str:
    form = BlockedModelForm({"pattern": pattern, "note": ""})
    if BlockedModel.objects.filter(pattern=pattern).exists():
        return pattern
    check(form)
    return str(form.cleaned_data["pattern"])


def _row(pattern: str) -> BlockedModel:
    row = BlockedModel.objects.filter(pattern=pattern).first()
    if row is not None:
        return row
    if pattern in current_behaviour().blocked_models:
        raise CommandError(
            f"{pattern} is blocked by the setting BLOCKED_MODELS: manage.py settings set BLOCKED_MODELS=..."
        )
    raise CommandError(f"{pattern} is not blocked by that name.")
