"""The admins themselves: who may log in to the desk."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from hajimi_site import second_factor
from proxy.desk.history import note

admin.site.unregister(User)
# Groups of permissions would stand beside the members' groups and be taken for them.
admin.site.unregister(Group)
# Each admin sets up the own second factor; its secret is nobody else's to see.
admin.site.unregister(TOTPDevice)
admin.site.unregister(StaticDevice)


@admin.register(User)
class AdminAccounts(UserAdmin, ModelAdmin):  # type: ignore[misc,type-arg]
    """People who log in here. Members are others: they only send messages."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    actions = ("remove_second_factor",)
    # Django's two lists side by side do not fit a phone, and a screen reader makes nothing of them.
    filter_horizontal = ()

    @admin.action(description=_("Take the second factor of the selected admins away"), permissions=["change"])
    def remove_second_factor(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Let them in with their passwords alone, for the day when a phone is gone."""
        users = [user for user in queryset if second_factor.remove(user)]
        note(request.user, users, _now("Took the second factor away."))
        self.message_user(request, _now("Second factors taken away: %(count)d.") % {"count": len(users)})
