"""What an empty list says: why it is empty, and what to do next."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from django.urls import reverse
from django.utils.translation import gettext_lazy as _


class EmptyState(NamedTuple):
    """A title, a sentence, and where its button leads; ``adds``: only for who may add rows."""

    title: Any
    sentence: Any
    button: Any = ""
    page: str = ""
    adds: bool = False

    @property
    def address(self) -> str:
        """Where the button leads; "" for nowhere."""
        return reverse(self.page) if self.page else ""


STATES: Final = {
    "keys.key": EmptyState(
        _("No keys yet"),
        _("hajimi needs at least one Gemini API key. Make one for free in Google AI Studio and paste it here."),
        _("Import keys"),
        "admin:keys_key_import",
        adds=True,
    ),
    "keys.park": EmptyState(
        _("No key rests"), _("Every key may serve. Parks come by themselves when Google says that a quota is used up.")
    ),
    "keys.member": EmptyState(_("No members yet"), _("Give each person a password of their own, and limits.")),
    "keys.group": EmptyState(_("No groups yet"), _("A group holds limits for several members at once.")),
    "keys.usage": EmptyState(_("Nothing counted yet"), _("The first message that goes through shows up here.")),
    "proxy.requestlog": EmptyState(
        _("No requests yet"),
        _("Connect SillyTavern with the address on the status page, and send a message."),
        _("Open the status page"),
        "status",
    ),
    "proxy.blockedmodel": EmptyState(
        _("No model is blocked"),
        _("Members may use whatever your keys can reach. Block a name here, or choose from Google's list."),
        _("Choose from Google's list"),
        "admin:proxy_upstreammodel_changelist",
    ),
    "proxy.upstreammodel": EmptyState(
        _("Google's list is not here yet"), _("It is fetched as soon as one key works, and then every hour.")
    ),
}
_OTHER: Final = EmptyState(_("Nothing here yet"), "")
_NOTHING_FITS: Final = EmptyState(_("Nothing fits"), _("No row fits the search and the filters."))


def state_of(changelist: Any) -> EmptyState:
    """Return what an empty list says."""
    if changelist.query or getattr(changelist, "has_active_filters", False):
        return _NOTHING_FITS
    return STATES.get(changelist.opts.label_lower, _OTHER)
