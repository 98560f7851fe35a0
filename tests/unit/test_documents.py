"""The documents say what the code does."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from hajimi_site import configuration_page, former
from hajimi_site.environment import VARIABLES
from hajimi_site.version import VERSION
from tests.unit.test_layers import PACKAGES, imports, modules

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.zh-CN.md")
PAGES = (
    *READMES,
    "CHANGELOG.md",
    "SECURITY.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def code_in(page: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", page)) | {
        word for block in re.findall(r"```[a-z]*\n(.*?)```", page, re.DOTALL) for word in re.split(r"[\s=]+", block)
    }


def test_the_configuration_page_shows_the_variables_as_they_are() -> None:
    for path, translate in configuration_page.pages(ROOT / "docs/configuration.md"):
        page = path.read_text(encoding="utf-8")
        assert configuration_page.written(page, translate) == page, "run `make docs`"


def test_every_variable_stands_on_the_configuration_page_once() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| .* \| .* \| .* \|$", text_of("docs/configuration.md"), re.MULTILINE)

    assert sorted(rows) == sorted(variable.name for variable in VARIABLES)


@pytest.mark.parametrize("name", ["docs/commands.md", "docs/commands.zh-CN.md"])
def test_every_command_stands_on_the_page_of_commands(name: str) -> None:
    files = (path for package in PACKAGES for path in (ROOT / package / "management/commands").glob("[a-z]*.py"))
    named = {code.split()[0] for code in re.findall(r"`([^`\n]+)`", text_of(name))}

    assert {path.stem for path in files} <= named


@pytest.mark.parametrize("name", PAGES)
def test_links_to_files_lead_somewhere(name: str) -> None:
    page = (ROOT / name).parent
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text_of(name))

    assert [link for link in links if "://" not in link and not (page / link).exists()] == []


def test_every_picture_is_shown_by_a_page_and_to_both_kinds_of_readers() -> None:
    shown = {
        link for name in PAGES for link in re.findall(r"""(?:\]\(|src=")(?:docs/)?images/([^)"]+)""", text_of(name))
    }

    assert shown == {path.name for path in (ROOT / "docs/images").iterdir()}


@pytest.mark.parametrize("name", PAGES)
def test_anchors_lead_to_headings(name: str) -> None:
    for place, anchor in re.findall(r"\]\(([^)#\s:]*)#([^)]+)\)", text_of(name)):
        page = (ROOT / name).parent / place if place else ROOT / name
        headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_make_targets_it_names_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))

    assert set(re.findall(r"`make ([a-z-]+)", text_of(name))) <= targets


@pytest.mark.parametrize("name", PAGES)
def test_files_it_names_exist(name: str) -> None:
    named = {
        word for word in code_in(text_of(name)) if re.fullmatch(r"(?:[\w.-]+/)+[\w.-]+\.(?:py|sh|md|yaml|html)", word)
    }

    assert sorted(word for word in named if not (ROOT / word).exists()) == []


@pytest.mark.parametrize("name", PAGES)
def test_variables_it_names_exist(name: str) -> None:
    known = {variable.name for variable in VARIABLES} | {old for variable in VARIABLES for old in variable.old_names}
    elsewhere = {
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "SPACE_ID",
        "SPACE_HOST",
        "PYTHON",
        "DONE",
        "VARIABLES",
        "HELP",
    }
    elsewhere |= {
        "HAJIMI_SOURCE_URL",
        "HAJIMI_TEST_RECORDINGS",
        "SOURCE_URL",
        "SOURCE_SHA256",
        "MEMBER_PASSWORD",
        "DOMAIN",
        "POSTGRES_PASSWORD",
    }
    # What gemini-balance calls it.
    elsewhere |= {"DATABASE_TYPE"}
    named = {word for word in code_in(text_of(name)) if re.fullmatch(r"[A-Z]{2,}(_[A-Z]+)*(_[0-9]+)?", word)}
    assert {re.sub(r"_[0-9]+$", "", word) for word in named} - known - elsewhere - set(former.UNUSED) == set()


def test_both_readmes_have_the_same_parts() -> None:
    english, chinese = (("\n" + text_of(name)).partition("\n# ")[2] for name in READMES)

    for part in (r"^(#+) ", r"^```(\w*)$", r"\]\((https?://[^)]+|[\w./-]+)\)"):
        there, here = (re.findall(part, page, re.MULTILINE) for page in (english, chinese))
        assert [same(link) for link in there] == [same(link) for link in here], part
    assert code_in(english) == code_in(chinese)


def same(link: str) -> str:
    """Return the link with the pages that exist in both languages taken as one."""
    return link.replace(".zh-CN.md", ".md")


def test_the_front_matter_is_what_a_space_needs() -> None:
    front = dict(re.findall(r"^(\w+): (.+)$", text_of("README.md").split("---\n")[1], re.MULTILINE))

    assert front["sdk"] == "docker"
    assert front["app_port"] == "7860"
    assert {"title", "emoji", "colorFrom", "colorTo", "pinned"} <= set(front)


def test_the_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## \[([^\]]+)\]", text_of("CHANGELOG.md"), re.MULTILINE)

    assert VERSION in headings[:2]


def test_no_locked_list_names_a_server() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-slow.txt"):
        assert not re.search(r"https?://|--(extra-)?index|--find-links", text_of(name))


def test_the_locked_lists_hold_what_is_asked_for() -> None:
    for name in ("requirements", "requirements-dev", "requirements-slow"):
        locked = set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==", text_of(f"{name}.txt"), re.MULTILINE))
        assert asked_for(name) <= locked, "run `make lock`"


def test_what_is_imported_is_what_is_required() -> None:
    called = {
        "django-axes": "axes",
        "django-environ": "environ",
        "django-otp": "django_otp",
        "django-unfold": "unfold",
        "google-auth": "google",
        "httpx-aiohttp": "httpx_aiohttp",
        "prometheus-client": "prometheus_client",
    }
    # Used through another library: time zones by zoneinfo, PostgreSQL by Django, Redis by channels.
    indirect = {"tzdata", "psycopg", "aiohttp", "channels-redis"}
    # Brought by daphne, channels and aiohttp, whose parts they are.
    brought = {"asgiref", "twisted", "yarl"}
    # Installed by hand, by who wants them.
    optional = {"uvicorn", "granian"}
    libraries = {name.split(".")[0] for source in modules().values() for name in imports(source)}
    foreign = libraries - set(sys.stdlib_module_names) - set(PACKAGES) - brought - optional

    assert {called.get(name, name) for name in asked_for("requirements") - indirect} <= libraries
    assert foreign <= {called.get(name, name) for name in asked_for("requirements")}


def asked_for(name: str) -> set[str]:
    """Return the names of the libraries in one of the .in files."""
    return set(re.findall(r"^([a-z][a-z0-9-]*)", text_of(f"{name}.in"), re.MULTILINE))
