"""The room as Django knows it."""

from django.apps import AppConfig


class TelemetryConfig(AppConfig):
    """What cards and labs do now and did lately."""

    name = "labs.telemetry"
    default_auto_field = "django.db.models.BigAutoField"
