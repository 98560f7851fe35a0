"""Fields for secrets: a form that comes back with errors does not bring them along."""

from __future__ import annotations

from typing import Any

from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from keys.redacting import redact


class UnshownTextarea(UnfoldAdminTextareaWidget):  # type: ignore[misc]
    """A text that is taken and never shown."""

    def format_value(self, value: Any) -> None:
        """Show nothing."""


class UnshownTextInput(UnfoldAdminTextInputWidget):  # type: ignore[misc]
    """A line that is taken and never shown."""

    def format_value(self, value: Any) -> None:
        """Show nothing."""


class DiscreetTextInput(UnfoldAdminTextInputWidget):  # type: ignore[misc]
    """A line that is shown unless it holds a secret."""

    def format_value(self, value: Any) -> str | None:
        """Return the line to show."""
        shown: str | None = super().format_value(value)
        return None if shown and redact(shown) != shown else shown
