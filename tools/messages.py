"""Collects the texts to translate into locale/, compiles them, and checks that both are current.

    make messages                         collect and compile
    python tools/messages.py --check      say what is missing or stale; changes nothing

Needs no gettext programs. A text is what stands, as a literal, in a call of _, gettext and the like,
or in a {% translate %} or {% blocktranslate %} of a template, or as the help of a variable.
"""

from __future__ import annotations

import argparse
import ast
import datetime
import io
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hajimi_site", "keys", "proxy")
FOLDERS = (*PACKAGES, "templates")
LOCALES = ("zh_Hans",)
PLAIN = {"_", "_now", "gettext", "gettext_lazy", "gettext_noop"}
PLURAL = {"ngettext", "ngettext_lazy"}
CONTEXT = {"pgettext", "pgettext_lazy"}
PLACE = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}")


class Text(NamedTuple):
    """One text to translate, with its plural and its context where it has them."""

    singular: str
    plural: str | None = None
    context: str | None = None


def po_path(locale: str) -> Path:
    """Return where the translations of a language are kept."""
    return ROOT / "locale" / locale / "LC_MESSAGES" / "django.po"


def collected() -> Catalog:
    """Return every text of the code and of the templates, with the files it stands in."""
    catalog = Catalog(project="hajimi", charset="utf-8", fuzzy=False)
    for path in _files():
        source = path.read_text(encoding="utf-8")
        texts = _in_python(source) if path.suffix == ".py" else _in_template(source)
        for text in texts:
            name = (text.singular, text.plural) if text.plural else text.singular
            catalog.add(name, locations=[(str(path.relative_to(ROOT)), 0)], context=text.context)
    return catalog


def _files() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".html", ".txt") and "migrations" not in path.parts:
                yield path


def _in_python(source: str) -> Iterator[Text]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield from _in_call(getattr(node.func, "id", getattr(node.func, "attr", "")), node.args)


def _in_call(name: str, arguments: Iterable[ast.expr]) -> Iterator[Text]:
    literals = [argument.value if isinstance(argument, ast.Constant) else None for argument in arguments]
    match name, literals:
        case _, [str(text), *_] if name in PLAIN and text:
            yield Text(text)
        case _, [str(one), str(many), *_] if name in PLURAL:
            yield Text(one, many)
        case _, [str(context), str(text), *_] if name in CONTEXT:
            yield Text(text, context=context)
        # A variable's help and what a kind allows: for the Chinese edition of docs/configuration.md.
        case ("Variable", [_, _, _, str(text), *_]) | ("Kind", [_, str(text), *_]):
            yield Text(text)


def _in_template(source: str) -> Iterator[Text]:
    for call in re.findall(r"\b(?:_|n?p?gettext|npgettext)\(.*?\) ", templatize(source), re.DOTALL):
        tree = ast.parse(call.strip(), mode="eval").body
        if isinstance(tree, ast.Call):
            yield from _in_call(getattr(tree.func, "id", ""), tree.args)


def updated(locale: str) -> Catalog:
    """Return the translations of a language with exactly the texts that are in use now."""
    known = _read(locale)
    fresh = Catalog(locale=locale, project="hajimi", charset="utf-8", fuzzy=False, header_comment="")
    # A date of today would make every run write another file.
    fresh.creation_date = fresh.revision_date = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    for message in sorted(collected(), key=lambda message: str(message.id)):
        if message.id:
            old = known.get(message.id, message.context)
            places = sorted({place for place, _ in message.locations})
            fresh.add(
                message.id,
                old.string if old else None,
                locations=[(place, 0) for place in places],
                context=message.context,
            )
    return fresh


def _headers(locale: str) -> list[tuple[str, str]]:
    return [
        ("Project-Id-Version", "hajimi"),
        ("Language", locale),
        ("MIME-Version", "1.0"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Transfer-Encoding", "8bit"),
        ("Plural-Forms", "nplurals=1; plural=0;"),
    ]


def _read(locale: str) -> Catalog:
    path = po_path(locale)
    if not path.exists():
        return Catalog(locale=locale)
    with path.open("rb") as file:
        return read_po(file, locale=locale)


def po_bytes(catalog: Catalog) -> bytes:
    """Return the catalogue as a .po file: no dates and no line numbers, which would change with every edit."""
    file = io.BytesIO()
    write_po(file, catalog, width=110, omit_header=True, include_lineno=False)
    header = "".join(f'"{name}: {value}\\n"\n' for name, value in _headers(str(catalog.locale)))
    return f'msgid ""\nmsgstr ""\n{header}\n'.encode() + file.getvalue().strip() + b"\n"


def mo_bytes(catalog: Catalog) -> bytes:
    """Return the catalogue compiled."""
    file = io.BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def faults() -> list[str]:
    """Return a sentence for everything that is missing, stale or cannot work."""
    found: list[str] = []
    for locale in LOCALES:
        catalog = updated(locale)
        path = po_path(locale)
        found += [f"{locale} lacks a translation of {message.id!r}" for message in catalog if not _is_done(message)]
        found += [f"{locale}: {message.id!r}: {error}" for message in catalog for error in _mismatches(message)]
        if not path.exists() or path.read_bytes() != po_bytes(catalog):
            found.append(f"{path.relative_to(ROOT)} is not current: run `make messages`")
        compiled = path.with_suffix(".mo")
        if not compiled.exists() or compiled.read_bytes() != mo_bytes(catalog):
            found.append(f"{compiled.relative_to(ROOT)} is not current: run `make messages`")
    return found


def _is_done(message: Message) -> bool:
    return bool(message.string) and all(_both(message.string))


def _mismatches(message: Message) -> Iterator[str]:
    """Yield what is wrong with the places for values: the same ones must stand on both sides."""
    wanted = set(PLACE.findall(_both(message.id)[-1]))
    for string in filter(None, _both(message.string or "")):
        if set(PLACE.findall(string)) != wanted:
            yield f"the places for values differ in {string!r}"


def _both(text: str | Sequence[str]) -> Sequence[str]:
    return (text,) if isinstance(text, str) else text


def write() -> None:
    """Write and compile every language."""
    for locale in LOCALES:
        catalog = updated(locale)
        path = po_path(locale)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(po_bytes(catalog))
        path.with_suffix(".mo").write_bytes(mo_bytes(catalog))


def main() -> int:
    """Write, or check with --check; print what is left to do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--check", action="store_true", help="change nothing, and fail when anything is missing or stale"
    )
    options = parser.parse_args()
    if not options.check:
        write()
    found = faults()
    print("\n".join(found) or "Messages are current.")
    return 1 if found and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
