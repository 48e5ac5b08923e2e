from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "labs.webhooks"
    default_auto_field = "django.db.models.BigAutoField"
