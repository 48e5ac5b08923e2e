from django.apps import AppConfig


class IdlenessConfig(AppConfig):
    name = "labs.idleness"
    default_auto_field = "django.db.models.BigAutoField"
