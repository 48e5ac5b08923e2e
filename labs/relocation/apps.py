from django.apps import AppConfig


class RelocationConfig(AppConfig):
    name = "labs.relocation"
    default_auto_field = "django.db.models.BigAutoField"
