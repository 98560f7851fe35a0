"""What a reader takes from a page: the commands below a heading, as they stand."""

from __future__ import annotations

import re

from tests.serving import ROOT

README, HOSTING, UPKEEP = "README.md", "docs/hosting.md", "docs/upkeep.md"
CONTAINER = README, "In a container"
COMPOSE = HOSTING, "Docker Compose"
SYSTEMD = HOSTING, "Linux with systemd"
TERMUX = HOSTING, "Termux (Android)"


def section(page: str, heading: str) -> str:
    """Return the text below a heading, up to the next one of any level."""
    text = (ROOT / page).read_text(encoding="utf-8")
    [found] = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.DOTALL | re.MULTILINE)
    return str(found)


def commands(page: str, heading: str) -> list[str]:
    """Return the lines of the shell blocks below a heading."""
    blocks = re.findall(r"```sh\n(.*?)```", section(page, heading), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def row(page: str, heading: str, first: str) -> list[str]:
    """Return the commands in backquotes of one row of a table, the first cell of which is given."""
    [line] = [line for line in section(page, heading).splitlines() if line.startswith(f"| {first} ")]
    return [word for word in re.findall(r"`([^`]+)`", line) if " " in word]
