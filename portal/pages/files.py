"""The way to one's files: on which machines they are, and how full they may become."""

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from labs.files.queries import HEARD, desk_nodes, desks_of
from labs.policy.queries import limits_of
from labs.storage.queries import disk_held, workspaces_of
from portal.pages.access import PersonRequest, person_required


@require_safe
@person_required
def files(request: PersonRequest) -> HttpResponse:
    """Node by node, with a button to open what is there."""
    user = request.user
    held, desks = {one.node_id: one for one in workspaces_of(user=user)}, desks_of(user=user)
    nodes = desk_nodes(user=user)
    places = [{"node": node, "held": held.get(node.pk), "desk": desks.get(node.pk), "heard": node.state in HEARD} for node in nodes]
    disk = disk_held(user_ids=[user.pk]).get(user.pk)
    limit = limits_of(user=user, now=timezone.now()).disk_gib
    return render(request, "files/files.html", {"places": places, "disk": disk, "limit": limit})
