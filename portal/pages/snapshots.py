"""Snapshots of my workspace: making one, making the workspace what it was then, deleting."""

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from labs.datasets.queries import data_usable
from labs.lifecycle.restores import restore_ask, snapshot_wish
from labs.people.models import Group, User
from labs.snapshots.queries import last_restore, snapshots_of
from labs.snapshots.rules import RESTORING, UNDER_WAY
from labs.snapshots.services import snapshot_delete
from labs.storage.queries import workspaces_of
from portal.pages.access import PersonRequest, person_required
from portal.pages.telling import try_or_tell


@require_safe
@person_required
def snapshots(request: PersonRequest) -> HttpResponse:
    """Mine, newest first, with what is under way; and the folders that my labs see beside the workspace."""
    teams = Group.objects.filter(kind=Group.Kind.TEAM, memberships__user=request.user)
    return render(request, "workspace/snapshots.html", _context(request.user) | {"teams": teams, "data": data_usable(user=request.user)})


@require_safe
@person_required
def snapshots_now(request: PersonRequest) -> HttpResponse:
    """The part that moves."""
    return render(request, "workspace/_snapshots.html", _context(request.user))


@require_POST
@person_required
def snapshot_make(request: PersonRequest) -> HttpResponse:
    """Make one of what is on a node."""
    node_id, now = request.POST.get("node", ""), timezone.now()
    done = "A snapshot is being made in the background. Files that programs write meanwhile may be in it half."
    try_or_tell(request, lambda: snapshot_wish(owner=request.user, node_id=node_id, now=now), done=done)
    return redirect("snapshots")


@require_POST
@person_required
def snapshot_restore(request: PersonRequest, snapshot_id: int) -> HttpResponse:
    """Make the workspace what it was."""
    row = get_object_or_404(snapshots_of(user=request.user), pk=snapshot_id)
    done = "Your workspace is being restored. Its present state is kept as a snapshot first, so that this can be undone; labs wait meanwhile."
    try_or_tell(request, lambda: restore_ask(snapshot=row, actor=request.user, now=timezone.now()), done=done)
    return redirect("snapshots")


@require_POST
@person_required
def snapshot_remove(request: PersonRequest, snapshot_id: int) -> HttpResponse:
    """Delete one."""
    row = get_object_or_404(snapshots_of(user=request.user), pk=snapshot_id)
    try_or_tell(request, lambda: snapshot_delete(snapshot=row, actor=request.user, now=timezone.now()), done="The snapshot was deleted.")
    return redirect("snapshots")


def _context(user: User) -> dict[str, Any]:
    rows, restore = list(snapshots_of(user=user)), last_restore(user=user)
    return {
        "rows": rows,
        "restore": restore,
        "restoring": restore is not None and restore.state in RESTORING,
        "busy": {row.node_id for row in rows if row.state in UNDER_WAY},
        "workspaces": list(workspaces_of(user=user)),
        "most": settings.SNAPSHOT_COUNT,
        "days": settings.SNAPSHOT_DAYS,
    }
