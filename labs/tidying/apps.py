from django.apps import AppConfig


class TidyingConfig(AppConfig):
    name = "labs.tidying"
    default_auto_field = "django.db.models.BigAutoField"
