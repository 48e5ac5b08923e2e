from django.apps import AppConfig


class TurnsConfig(AppConfig):
    name = "labs.turns"
    default_auto_field = "django.db.models.BigAutoField"
