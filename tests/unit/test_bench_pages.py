"""The table of pages says which are too slow, and ends with a failure then."""

from __future__ import annotations

import pytest

from bench.pages import row


@pytest.mark.parametrize(("seconds", "slow"), [(0.9, []), (1.1, ["keys"])])
def test_a_page_beyond_its_bar_is_named(capsys: pytest.CaptureFixture[str], seconds: float, slow: list[str]) -> None:
    assert row("keys", seconds, 1.0) == slow
    assert ("**" in capsys.readouterr().out) is bool(slow)
