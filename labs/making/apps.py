from django.apps import AppConfig


class MakingConfig(AppConfig):
    name = "labs.making"
    default_auto_field = "django.db.models.BigAutoField"
