from django.apps import AppConfig


class SnapshotsConfig(AppConfig):
    name = "labs.snapshots"
    default_auto_field = "django.db.models.BigAutoField"
