from django.apps import AppConfig


class WorkerConfig(AppConfig):
    """The hands, as Django knows them: only for the management commands."""

    name = "worker"
