"""What an admin types about members and groups; each help text says what an empty field inherits."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils import timezone
from django.utils.html import escape
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from keys import enrolling, limits
from keys.models import Group, Member
from proxy.admin.unshown import UnshownTextInput
from proxy.runtime import current_behaviour

REFUSALS: Final = {
    enrolling.BadPassword: _("A password is printable ASCII, without spaces at its ends."),
    enrolling.PasswordTaken: _("Another member has this password; each member needs a password of their own."),
    enrolling.SetByEnvironment: _(
        "This member's password is the variable PASSWORD: change it there, and start hajimi again."
    ),
}
YES_NO_INHERIT: Final = (("unknown", _("inherit")), ("true", _("yes")), ("false", _("no")))
MOST_AT_ONCE: Final = 500
_HELP: Final = {
    "requests_per_minute": _("0: no limit."),
    "requests_per_day": _("A day of this server's time zone. 0: no limit."),
    "tokens_per_day": _("Counted after each answer; over the limit, the next request is refused. 0: no limit."),
    "parallel_requests": _("Requests that may run at one time. 0: no limit."),
    "allowed_models": _(
        "Names or globs, with commas or new lines. When set, only these are listed and served; * for all."
    ),
    "blocked_models": _(
        "Names or globs that are hidden and refused, beside those blocked for all. A single - for none."
    ),
    "fake_streaming": _("Fetch the whole answer first while the client is kept alive."),
    "random_string": _("Put a few random letters and digits at the start of the last user turn."),
}


class LimitsForm(forms.ModelForm):  # type: ignore[type-arg]
    """Limits, with what they inherit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        behaviour = current_behaviour()
        everybody = {
            "requests_per_minute": behaviour.max_requests_per_minute or None,
            "fake_streaming": behaviour.fake_streaming,
            "random_string": behaviour.random_string,
        }
        for name in ("note", *limits.NAMES):
            if name in self.fields:
                self.fields[name].widget.attrs["rows"] = 3
        for name in limits.ALL:
            if name in self.fields:
                self.fields[name].help_text = f"{_HELP[name]} {self._inherited(name, everybody.get(name))}"
            if name in limits.SWITCHES and name in self.fields:
                self.fields[name].widget.choices = YES_NO_INHERIT

    def _inherited(self, name: str, everybody: Any) -> str:
        group = getattr(self.instance, "group", None)
        of_group = getattr(group, name, None)
        if of_group is not None and of_group != "":
            return gettext("Empty inherits the group's: %(value)s.") % {"value": _shown(of_group)}
        if everybody is not None:
            return gettext("Empty inherits everybody's: %(value)s.") % {"value": _shown(everybody)}
        if name in limits.NAMES:
            return gettext("Empty inherits everybody's.")
        return gettext("Empty: no limit.")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    # Help texts are taken for markup.
    return escape(value)


def still_to_come(moment: datetime | None) -> datetime | None:
    """Return an end that a member may be given. Raises ValidationError for one that has passed."""
    if moment is not None and moment <= timezone.now():
        raise forms.ValidationError(
            _("This moment has passed. To shut somebody out at once, disable the member instead.")
        )
    return moment


class MemberForm(LimitsForm):
    """A member; the password is taken and never shown again."""

    password = forms.CharField(
        label=_("Password"),
        required=False,
        strip=False,
        max_length=200,
        widget=UnshownTextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    class Meta:
        model = Member
        fields = ("name", "group", "enabled", "expires_at", "note", *limits.ALL)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "password" in self.fields:
            self.fields["password"].help_text = (
                _("Empty: it stays as it is.") if self.instance.pk else _("Empty: one is made, and shown once.")
            )

    def clean_expires_at(self) -> datetime | None:
        """Refuse a new end in the past; one that has been reached stays as it is."""
        given: datetime | None = self.cleaned_data["expires_at"]
        return still_to_come(given) if "expires_at" in self.changed_data else given

    def clean(self) -> dict[str, Any]:
        """Refuse a password that cannot be typed everywhere, is another member's, or is easy to guess."""
        cleaned = super().clean() or self.cleaned_data
        password: str = cleaned.get("password", "")
        if password:
            try:
                enrolling.check_may_change(self.instance)
                enrolling.usable_digest(password, self.instance)
                enrolling.check_strength(password, cleaned.get("name", ""))
            except enrolling.WeakPassword as error:
                self.add_error("password", list(error.sentences))
            except enrolling.Refused as error:
                self.add_error("password", str(REFUSALS[type(error)]))
        return cleaned


class GroupForm(LimitsForm):
    """A group's name and the limits of its members."""

    class Meta:
        model = Group
        fields = ("name", "note", *limits.ALL)


class BulkForm(forms.Form):
    """Many members at once: how many, and what they have in common."""

    count = forms.IntegerField(
        label=_("How many"),
        initial=20,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_AT_ONCE)],
        widget=UnfoldAdminIntegerFieldWidget(),
    )
    names = forms.CharField(
        label=_("Names begin with"),
        max_length=60,
        initial="member-",
        validators=[limits.name],
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("Numbers follow: member-01, member-02 …; names that are taken are left out."),
    )
    group = forms.ModelChoiceField(
        label=_("Group"),
        queryset=Group.objects.all(),
        required=False,
        widget=UnfoldAdminSelectWidget(),
        help_text=_("Its limits hold for all of them."),
    )
    expires_at = forms.SplitDateTimeField(
        label=_("Expires"), required=False, widget=UnfoldAdminSplitDateTimeWidget(), help_text=_("Empty: never.")
    )
    note = forms.CharField(
        label=_("Note"), required=False, max_length=2000, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3})
    )

    def clean_expires_at(self) -> datetime | None:
        """Refuse an end in the past."""
        return still_to_come(self.cleaned_data["expires_at"])
