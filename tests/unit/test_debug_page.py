"""Django's debug page shows no secret of the environment, whatever the setting is called."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as all_settings
from django.views.debug import get_default_exception_reporter_filter

from hajimi_site import environment

SECRET = "a-secret-of-the-environment"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GIVEN_ENVIRONMENT", {"DATABASE_URL": f"postgres://hajimi:{SECRET}@db/hajimi"}),
        ("REDIS_URL", f"redis://:{SECRET}@cache/0"),
        ("GOOGLE_CREDENTIALS_JSON", (SECRET,)),
        ("GEMINI_API_KEYS", (SECRET,)),
        ("ADMIN_PASSWORD", SECRET),
        ("SECRET_KEY", SECRET),
    ],
)
def test_a_setting_with_a_secret_is_not_shown(settings: Any, name: str, value: object) -> None:
    setattr(settings, name, value)

    assert SECRET not in str(get_default_exception_reporter_filter().get_safe_settings())


def test_all_that_was_read_of_the_environment_is_no_setting() -> None:
    assert not [name for name in dir(all_settings) if isinstance(getattr(all_settings, name), environment.Reading)]


def test_the_start_warns_of_debug_pages() -> None:
    assert [note for note in environment.read({"DEBUG": "true"}).notes if note.startswith("WARNING: DEBUG is on")]
    assert not environment.read({"DEBUG": "false"}).notes
