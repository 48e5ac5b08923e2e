"""Reading the quarantine."""

from datetime import datetime

from django.db.models import QuerySet

from labs.quarantine.models import Stray


def strays_all() -> QuerySet[Stray]:
    """Every stray with its node."""
    return Stray.objects.select_related("node")


def strays_cards() -> set[str]:
    """Cards that strays were given: taken, whatever the record says."""
    return {uuid for gpus in Stray.objects.values_list("gpus", flat=True) for uuid in gpus}


def strays_due(*, node_id: str, now: datetime) -> list[str]:
    """Names of the node's strays whose grace is over."""
    return list(Stray.objects.filter(node_id=node_id, remove_at__lte=now).values_list("name", flat=True))
