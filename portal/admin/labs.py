"""Labs, leases, their tokens and networks."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from labs.lifecycle.models import Lab, LabToken, Lease, PersonNetwork
from labs.lifecycle.services import lab_stop
from portal.admin.base import ReadOnly, actor_of, each


@admin.register(Lab)
class LabAdmin(ReadOnly):
    """Every lab there was."""

    list_display = ("name", "owner", "state", "gpus", "image", "node", "requested_at", "ended_at", "reason_code")
    list_filter = ("state", "reason_code", "node", "image")
    search_fields = ("id", "name", "owner__email")
    list_select_related = ("owner", "image", "node")
    actions = ("stop",)

    @admin.action(description="Stop")
    def stop(self, request: HttpRequest, queryset: QuerySet[Lab]) -> None:
        """End the chosen labs; files stay."""
        actor, now = actor_of(request), timezone.now()
        each(request, queryset.select_related("owner"), lambda lab: lab_stop(lab=lab, actor=actor, now=now), done="Asked to stop")


@admin.register(Lease)
class LeaseAdmin(ReadOnly):
    """Who held which card, from when to when."""

    list_display = ("gpu", "lab", "attempt", "opened_at", "closed_at")
    list_filter = ("gpu",)
    search_fields = ("lab__id", "lab__name", "gpu__uuid")
    list_select_related = ("gpu", "lab")


@admin.register(LabToken)
class LabTokenAdmin(ReadOnly):
    """Tokens of labs, without their secrets, which nobody has."""

    list_display = ("name", "prefix", "lab", "created_at", "last_used_at", "revoked_at")
    exclude = ("digest",)
    list_select_related = ("lab",)


@admin.register(PersonNetwork)
class PersonNetworkAdmin(ReadOnly):
    """Who has which network on which node."""

    list_display = ("owner", "node", "subnet", "created_at")
    list_select_related = ("owner", "node")
