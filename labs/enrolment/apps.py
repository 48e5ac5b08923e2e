from django.apps import AppConfig
from django.db import connection
from django.db.models.signals import pre_migrate


def views_let_go(**_: object) -> None:
    """Nodes' views would hold tables fast that a migration changes. The house's worker makes them anew within seconds."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA IF EXISTS gpulab_node CASCADE")


class EnrolmentConfig(AppConfig):
    name = "labs.enrolment"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Before the tables change."""
        pre_migrate.connect(views_let_go, sender=self)
