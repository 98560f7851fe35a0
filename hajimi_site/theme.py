"""How the admin looks and what its navigation offers, in django-unfold's words."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext_lazy as _


def _page(title: Any, icon: str, name: str, permission: str = "") -> dict[str, Any]:
    """Return an entry of the navigation; ``permission`` is what one must be allowed to see it."""

    def may_see(request: HttpRequest) -> bool:
        return not permission or request.user.has_perm(permission)

    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{name}"), "permission": may_see}


def _on_dashboard(request: HttpRequest) -> bool:
    # It is also the first page after login.
    return request.path in {reverse("admin:index"), reverse("admin:dashboard")}


NAVIGATION: Final = [
    {
        "items": [
            {**_page(_("Dashboard"), "monitoring", "dashboard"), "active": _on_dashboard},
        ]
    },
    {
        "title": _("Keys and members"),
        "separator": True,
        "items": [
            _page(_("Keys"), "key", "keys_key_changelist", "keys.view_key"),
            _page(_("Resting keys"), "bedtime", "keys_park_changelist", "keys.view_park"),
            _page(_("Members"), "group", "keys_member_changelist", "keys.view_member"),
            _page(_("Groups"), "groups", "keys_group_changelist", "keys.view_group"),
        ],
    },
    {
        "title": _("What happened"),
        "separator": True,
        "items": [
            _page(_("Request logs"), "receipt_long", "proxy_requestlog_changelist", "proxy.view_requestlog"),
            _page(_("Usage"), "bar_chart", "keys_usage_changelist", "keys.view_usage"),
        ],
    },
    {
        "title": _("Set up"),
        "separator": True,
        "items": [
            _page(_("Settings"), "tune", "proxy_settings_changelist", "proxy.view_settings"),
            _page(_("Blocked models"), "block", "proxy_blockedmodel_changelist", "proxy.view_blockedmodel"),
            _page(_("Google's models"), "deployed_code", "proxy_upstreammodel_changelist", "proxy.view_upstreammodel"),
            _page(_("Admins"), "shield_person", "auth_user_changelist", "auth.view_user"),
        ],
    },
]

# hajimi's green, from the status page.
_PRIMARY: Final = {
    "50": "oklch(97.5% .015 160)",
    "100": "oklch(94.5% .03 160)",
    "200": "oklch(89% .055 160)",
    "300": "oklch(82% .085 160)",
    "400": "oklch(76% .1 160)",
    "500": "oklch(70% .105 160)",
    "600": "oklch(48% .085 160)",
    "700": "oklch(42% .075 160)",
    "800": "oklch(35% .06 160)",
    "900": "oklch(30% .05 160)",
    "950": "oklch(22% .04 160)",
}


def warning(request: HttpRequest) -> tuple[Any, str] | None:
    """Return the red label of every page while the documented default password opens; None: there is no need."""
    # Not above: settings import this module.
    from keys import enrolling

    return (_("Anyone can use your keys: the password is 123"), "danger") if enrolling.default_opens() else None


UNFOLD: Final = {
    "SITE_TITLE": "hajimi",
    "SITE_HEADER": "hajimi",
    "SITE_SUBHEADER": _("Gemini keys, shared"),
    "SITE_URL": "/",
    "SITE_ICON": lambda request: static("hajimi/icon.svg"),
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("hajimi/icon.svg")}],
    "LOGIN": {"form": "hajimi_site.sign_in.LoginForm"},
    "ACCOUNT": {
        "navigation": [
            {"title": _("Change password"), "link": reverse_lazy("admin:password_change")},
            {"title": _("Second factor"), "link": reverse_lazy("admin:second_factor")},
        ]
    },
    "SHOW_LANGUAGES": True,
    "SHOW_BACK_BUTTON": False,
    "COLORS": {"primary": _PRIMARY},
    "STYLES": [lambda request: static("hajimi/desk.css")],
    "SCRIPTS": [lambda request: static("hajimi/desk.js")],
    "ENVIRONMENT": "hajimi_site.theme.warning",
    "SIDEBAR": {"show_search": False, "navigation": NAVIGATION},
}
