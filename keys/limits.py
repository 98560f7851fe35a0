"""What a limit, a list of models and a name may look like: told at the field, before anything is saved."""

from __future__ import annotations

import re
from typing import Final

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, RegexValidator
from django.utils.translation import gettext_lazy as _

MOST_PER_MINUTE: Final = 1_000_000
MOST_PER_DAY: Final = 1_000_000_000
MOST_TOKENS: Final = 1_000_000_000_000
MOST_AT_ONCE: Final = 10_000
MOST_PATTERNS: Final = 200
LONGEST_PATTERN: Final = 120

COUNTED: Final = ("requests_per_minute", "requests_per_day", "tokens_per_day")
NUMBERS: Final = (*COUNTED, "parallel_requests")
NAMES: Final = ("allowed_models", "blocked_models")
SWITCHES: Final = ("fake_streaming", "random_string")
# Every field that a group sets and a member may override.
ALL: Final = (*NUMBERS, *NAMES, *SWITCHES)

_SEPARATORS: Final = re.compile(r"[\s,;，；]+")
_PATTERN: Final = re.compile(r"[A-Za-z0-9._*?\[\]!/-]{1,120}")

per_minute = MaxValueValidator(MOST_PER_MINUTE)
per_day = MaxValueValidator(MOST_PER_DAY)
tokens = MaxValueValidator(MOST_TOKENS)
at_once = MaxValueValidator(MOST_AT_ONCE)

# Names stand in log lines and refusals as well: what would break a line or look like markup is no name.
name = RegexValidator(
    r"[\x00-\x1f\x7f-\x9f<>\u2028\u2029\u202a-\u202e\u2066-\u2069]|^\s|\s$",
    _("A name has no < or >, no control characters, and no spaces at its ends."),
    inverse_match=True,
)
pattern = RegexValidator(
    rf"^{_PATTERN.pattern}$",
    _("A model name or glob is made of letters, digits and . _ - / * ? [ ] !"),
)


def names_in(text: str) -> tuple[str, ...]:
    """Split a list as people type it: at commas, semicolons, spaces and new lines, as the environment does."""
    return tuple(piece for piece in _SEPARATORS.split(text) if piece)


def names(text: str) -> None:
    """Refuse a list of model names that holds something else, or too much. Raises ValidationError."""
    pieces = names_in(text)
    if len(pieces) > MOST_PATTERNS:
        raise ValidationError(_("At most %(most)s names or globs."), params={"most": MOST_PATTERNS})
    for piece in pieces:
        if not _PATTERN.fullmatch(piece):
            raise ValidationError(_("This is no model name or glob: %(piece)s"), params={"piece": piece[:60]})
