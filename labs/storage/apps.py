from django.apps import AppConfig


class StorageConfig(AppConfig):
    name = "labs.storage"
    default_auto_field = "django.db.models.BigAutoField"
