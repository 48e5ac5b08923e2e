"""The ledger."""

from django.contrib import admin

from labs.ledger.models import Event
from portal.admin.base import ReadOnly


@admin.register(Event)
class EventAdmin(ReadOnly):
    """Everything that happened."""

    list_display = ("at", "actor_name", "kind", "subject", "words")
    list_filter = ("actor_name",)
    search_fields = ("words", "subject", "kind")
