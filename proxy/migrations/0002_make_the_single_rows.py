from django.db import migrations


def make_rows(apps, schema_editor):
    database = schema_editor.connection.alias
    for name in ("Settings", "Revision"):
        apps.get_model("proxy", name).objects.using(database).get_or_create(pk=1)


class Migration(migrations.Migration):
    """The Settings and the Revision tables hold one row each, which always exists."""

    dependencies = [("proxy", "0001_initial")]

    operations = [migrations.RunPython(make_rows, migrations.RunPython.noop, elidable=True)]
