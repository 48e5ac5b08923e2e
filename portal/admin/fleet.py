"""Nodes, cards, images, limits and the cards' minutes."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from labs.catalogue.models import Image
from labs.fleet.models import Gpu, Node, NodeImage
from labs.fleet.services import node_cordon, node_uncordon
from labs.policy.models import GroupLimits, LimitOverride, LimitWindow, QuotaRequest, RoleLimits
from labs.storage.models import WorkspaceUse
from labs.telemetry.models import GpuMinute
from portal.admin.base import ReadOnly, actor_of, each


@admin.register(Node)
class NodeAdmin(ReadOnly):
    """Hosts that run labs."""

    list_display = ("name", "state", "runtime", "isolates", "probe_kind", "driver", "cpus", "memory_mib", "heartbeat_at")
    actions = ("cordon", "uncordon")

    @admin.action(description="Cordon")
    def cordon(self, request: HttpRequest, queryset: QuerySet[Node]) -> None:
        """Place no new lab there."""
        actor, now = actor_of(request), timezone.now()
        each(request, queryset, lambda node: node_cordon(node=node, actor=actor, now=now), done="Cordoned")

    @admin.action(description="Take labs again")
    def uncordon(self, request: HttpRequest, queryset: QuerySet[Node]) -> None:
        """Place labs there again."""
        actor, now = actor_of(request), timezone.now()
        each(request, queryset, lambda node: node_uncordon(node=node, actor=actor, now=now), done="Take labs again")


@admin.register(Gpu)
class GpuAdmin(ReadOnly):
    """Cards."""

    list_display = ("uuid", "node", "index", "model", "memory_mib", "health", "simulated")
    list_filter = ("node", "health")
    list_select_related = ("node",)


@admin.register(Image)
class ImageAdmin(ReadOnly):
    """Images."""

    list_display = ("title", "runtime", "repository", "tag", "digest", "is_active")
    list_filter = ("runtime", "is_active")


@admin.register(NodeImage)
class NodeImageAdmin(ReadOnly):
    """How far each node is with each image."""

    list_display = ("image", "node", "state", "percent", "tries", "updated_at")
    list_filter = ("state", "node")
    list_select_related = ("image", "node")


@admin.register(RoleLimits)
class RoleLimitsAdmin(ReadOnly):
    """Limits by role; edited under Admin, Quotas."""

    list_display = ("role", "gpus", "gpus_max", "labs", "cpus", "memory_gib", "hours_max", "gpu_hours_week")


@admin.register(LimitOverride)
class LimitOverrideAdmin(ReadOnly):
    """Exceptions, also those whose time is over."""

    list_display = ("__str__", "until", "note", "created_by", "created_at")
    list_select_related = ("user", "group", "created_by")


@admin.register(GroupLimits)
class GroupLimitsAdmin(ReadOnly):
    """Caps of whole groups; edited under Admin, Quotas."""

    list_display = ("group", "guarantee", "weight", "gpus", "labs", "cpus", "memory_gib", "gpu_hours_week", "gpu_hours_month", "disk_gib")
    list_select_related = ("group",)


@admin.register(LimitWindow)
class LimitWindowAdmin(ReadOnly):
    """Hours, or a quiet house, in which a limit is wider; edited under Admin, Quotas."""

    list_display = ("name", "limit", "times", "plus", "days", "start", "end", "below", "role", "group")
    list_select_related = ("group",)


@admin.register(QuotaRequest)
class QuotaRequestAdmin(ReadOnly):
    """What people asked for, and the answers."""

    list_display = ("user", "state", "asked", "until", "created_at", "answered_by", "answered_at")
    list_filter = ("state",)
    list_select_related = ("user", "answered_by")


@admin.register(GpuMinute)
class GpuMinuteAdmin(ReadOnly):
    """The cards' use, minute by minute."""

    list_display = ("gpu", "minute", "gpu_pct_avg", "gpu_pct_max", "memory_mib_max")
    list_filter = ("gpu",)


@admin.register(WorkspaceUse)
class WorkspaceUseAdmin(ReadOnly):
    """What people's workspaces hold."""

    list_display = ("owner", "node", "size", "files", "whole", "measured_at")
    list_filter = ("node", "whole")
    list_select_related = ("owner", "node")
