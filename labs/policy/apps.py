from django.apps import AppConfig


class PolicyConfig(AppConfig):
    name = "labs.policy"
    default_auto_field = "django.db.models.BigAutoField"
