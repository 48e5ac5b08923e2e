from django.apps import AppConfig


class StartersConfig(AppConfig):
    name = "labs.starters"
    default_auto_field = "django.db.models.BigAutoField"
