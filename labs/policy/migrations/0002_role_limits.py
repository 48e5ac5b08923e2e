"""The starting limits of each role, from defaults.json; administrators change them on the quota page."""

from django.conf import settings
from django.db import migrations


def fill(apps, schema_editor):
    limits = apps.get_model("policy", "RoleLimits")
    for role, values in settings.DEFAULTS["roles"].items():
        limits.objects.get_or_create(role=role, defaults=values)


class Migration(migrations.Migration):
    dependencies = [("policy", "0001_initial")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
