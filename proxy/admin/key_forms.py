"""What an admin types about keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from keys import vault
from keys.accounts import BadAccount, is_like_accounts
from keys.importing import Credential, accounts_in, is_cut, is_usable
from keys.models import Key, Source
from keys.redacting import redact
from proxy.admin.unshown import DiscreetTextInput, UnshownTextarea

LARGEST_LIMIT = 2**31 - 1
LONGEST_IMPORT = 2_000_000
DAILY_LIMIT_HELP = _(
    "Requests per Google day (Pacific time); 0: no limit. Empty: API_KEY_DAILY_LIMIT, for Vertex credentials no limit."
)
ONE_KEY = _("A key is visible ASCII without spaces. To add several, use Import.")
_PRIVATE = {"autocomplete": "off", "spellcheck": "false"}


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A key without its secret, which stays as it is."""

    class Meta:
        model = Key
        fields = ("label", "kind", "daily_limit")
        help_texts = {"daily_limit": DAILY_LIMIT_HELP}
        widgets = {"label": DiscreetTextInput}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "daily_limit" in self.fields:
            self.fields["daily_limit"].validators.append(MaxValueValidator(LARGEST_LIMIT))

    def clean_label(self) -> str:
        """Refuse a secret."""
        return open_label(self.cleaned_data["label"])

    def clean_kind(self) -> str:
        """A service account says by itself what it is; nothing else can be one."""
        account, kind = Key.Kind.VERTEX_SERVICE_ACCOUNT, str(self.cleaned_data["kind"])
        is_account = self._is_account()
        if is_account is None or is_account:
            return account if is_account else kind
        if kind == account:
            raise forms.ValidationError(_("A service account is the JSON that Google gives for it."))
        return kind

    def _is_account(self) -> bool | None:
        """Tell whether the secret is a service account; None when it is not known."""
        try:
            return is_like_accounts(vault.decrypt(self.instance.ciphertext))
        except vault.Undecryptable:
            return None


class NewKeyForm(KeyForm):
    """A key and its secret, pasted."""

    secret = forms.CharField(
        label=_("Key"),
        strip=True,
        max_length=20_000,
        widget=UnshownTextarea(attrs={"rows": 3, **_PRIVATE}),
        help_text=_(
            "As Google shows it, or the JSON of a service account, which gets its tokens over https from Google's "
            "servers only, or from the host of VERTEX_BASE_URL. It is stored encrypted."
        ),
    )

    field_order = ("secret", "label", "kind", "daily_limit")

    def clean_secret(self) -> str:
        """Refuse what cannot be a key, and a key that is in the pool already."""
        secret: str = self.cleaned_data["secret"]
        self.credential = _account(secret) if is_like_accounts(secret) else Credential.of_key(secret)
        if self.credential.kind == Key.Kind.AI_STUDIO and not is_usable(secret):
            raise forms.ValidationError(ONE_KEY)
        if is_cut(secret):
            raise forms.ValidationError(_("This is not a whole key. Copy it again, from its first to its last letter."))
        known = Key.objects.filter(digest=vault.digest(self.credential.identity)).first()
        if known is not None:
            raise forms.ValidationError(_("This key is already there: %(key)s"), params={"key": known})
        return secret

    def _is_account(self) -> bool | None:
        credential = getattr(self, "credential", None)
        return credential.kind == Key.Kind.VERTEX_SERVICE_ACCOUNT if credential else None

    def save(self, commit: bool = True) -> Key:
        """Encrypt the secret into the row."""
        self.instance.ciphertext = vault.encrypt(self.credential.secret)
        self.instance.digest = vault.digest(self.credential.identity)
        self.instance.tail = self.credential.tail
        self.instance.label = self.instance.label or self.credential.label
        self.instance.source = Source.ADMIN
        saved: Key = super().save(commit)
        return saved


def open_label(label: str) -> str:
    """Return a label that everybody may read who sees the list. Raises ValidationError for one with a secret in it."""
    if redact(label) != label:
        raise forms.ValidationError(_("A label is for everybody's eyes; this one holds a key or a password."))
    return label


def _account(text: str) -> Credential:
    accounts = _accounts(text)
    if not accounts:
        raise forms.ValidationError(ONE_KEY)
    if len(accounts) > 1:
        raise forms.ValidationError(_("These are several service accounts; use Import."))
    return accounts[0]


def _accounts(text: str) -> list[Credential]:
    try:
        return accounts_in(text)
    except BadAccount as error:
        why = gettext(error.template) % error.values
        raise forms.ValidationError(
            _("This cannot be used: %(why)s. It is not shown again: paste it anew."), params={"why": why}
        ) from None


class ImportForm(forms.Form):
    """Many keys, pasted in any shape; or service accounts, then ``accounts`` holds them."""

    accounts: Sequence[Credential] = ()

    keys = forms.CharField(
        label=_("Keys"),
        widget=UnshownTextarea(attrs={"rows": 16, **_PRIVATE}),
        help_text=_("Separated by anything: commas, spaces, new lines, quotes. Keys that are already there stay."),
    )

    def clean_keys(self) -> str:
        """Read service accounts here, so that what is wrong with one is told at the field."""
        text: str = self.cleaned_data["keys"]
        if len(text) > LONGEST_IMPORT:
            raise forms.ValidationError(_("This is too long for one import: paste it in several parts."))
        self.accounts = _accounts(text)
        return text


class LabelForm(forms.Form):
    """One label for many keys."""

    label = forms.CharField(
        label=_("label"),
        required=False,
        max_length=80,
        widget=DiscreetTextInput(),
        help_text=_("Empty takes the label away."),
    )

    def clean_label(self) -> str:
        """Refuse a secret."""
        return open_label(self.cleaned_data["label"])


class LimitForm(forms.Form):
    """One daily limit for many keys."""

    daily_limit = forms.IntegerField(
        label=_("daily limit"),
        required=False,
        min_value=0,
        validators=[MaxValueValidator(LARGEST_LIMIT)],
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text=DAILY_LIMIT_HELP,
    )
