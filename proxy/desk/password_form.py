"""The admin's own password, asked for again before something that cannot be taken back."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import INPUT_CLASSES


class PasswordForm(forms.Form):
    """The admin's own password, once more."""

    password = forms.CharField(
        label=_("Your own password"),
        strip=False,
        max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": ""}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].widget.attrs["class"] = " ".join(INPUT_CLASSES)
