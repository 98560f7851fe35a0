"""Shows and changes members: who gets in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from keys.management.documents import document, member_named, tell
from keys.models import Member
from proxy.desk import member_deeds
from proxy.desk.history import Admin
from proxy.management.documents import acting, add_verb

Deed = Callable[[Admin, Iterable[Member]], list[Member]]

DEEDS: Final[Mapping[str, tuple[Deed, str, str]]] = {
    "disable": (member_deeds.disable, "disabled", "refuse members from the next request on"),
    "enable": (member_deeds.enable, "enabled", "let members in again"),
    "delete": (member_deeds.delete, "deleted", "delete members; what they have used stays counted"),
}


class Command(BaseCommand):
    help = "List, disable, enable or delete members. `create_member` makes them, `set_limit` limits them."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        add_verb(verbs, "list", "print the members and their limits")
        for verb, (_deed, _done, told) in DEEDS.items():
            add_verb(verbs, verb, told).add_argument("names", nargs="+", metavar="NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "list":
            self._list(options)
            return
        members = list({name: member_named(name) for name in options["names"]}.values())
        deed, done, _told = DEEDS[options["verb"]]
        if deed is member_deeds.delete and (kept := member_deeds.brought_back(members)):
            raise CommandError(member_deeds.why_kept(kept))
        told = {member.name: document(member) for member in members}
        changed = deed(acting(options["by"]), members)
        documents = [{**told[member.name], "enabled": member.enabled} for member in changed]
        names = ", ".join(member.name for member in changed)
        sentence = f"{len(changed)} of {len(members)} members {done}{names and f': {names}'}."
        tell(self, options, {"changed": documents, "unchanged": len(members) - len(changed)}, sentence)

    def _list(self, options: Mapping[str, Any]) -> None:
        members = [document(member) for member in Member.objects.select_related("group")]
        lines = (_line(member) for member in members)
        tell(
            self, options, {"members": members}, "\n".join(lines) or "There is no member: manage.py create_member NAME."
        )


def _line(member: Mapping[str, Any]) -> str:
    group = f", group {member['group']}" if member["group"] else ""
    expires = f", expires {member['expires_at']}" if member["expires_at"] else ""
    return f"{member['name']}: {'enabled' if member['enabled'] else 'disabled'}{group}{expires}"
