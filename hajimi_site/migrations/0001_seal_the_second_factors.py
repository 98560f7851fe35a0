"""Seeds and recovery codes of second factors stood in clear until now."""

from __future__ import annotations

from typing import Any

from django.db import migrations


def seal(apps: Any, _editor: Any) -> None:
    """Encrypt the seeds and keep only digests of the codes. Raises vault.Undecryptable."""
    # Not above: it reads models.
    from hajimi_site.models import seal_all

    tables = apps.get_model("otp_totp", "TOTPDevice"), apps.get_model("otp_static", "StaticToken")
    seal_all(*(table.objects.all() for table in tables))


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("keys", "0004_usage_by_day_and_kind"),
        ("otp_static", "0003_add_timestamps"),
        ("otp_totp", "0003_add_timestamps"),
    ]

    operations = [
        migrations.CreateModel(
            name="DigestedCodes",
            fields=[],
            options={"proxy": True, "default_permissions": (), "indexes": [], "constraints": []},
            bases=("otp_static.staticdevice",),
        ),
        migrations.CreateModel(
            name="SealedDevice",
            fields=[],
            options={"proxy": True, "default_permissions": (), "indexes": [], "constraints": []},
            bases=("otp_totp.totpdevice",),
        ),
        migrations.RunPython(seal, migrations.RunPython.noop),
    ]
