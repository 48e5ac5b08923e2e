from django.apps import AppConfig


class QuarantineConfig(AppConfig):
    name = "labs.quarantine"
    default_auto_field = "django.db.models.BigAutoField"
