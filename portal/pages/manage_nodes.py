"""Nodes and cards: what each says of itself, with the fix beside every check that is not green."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from labs.fleet.models import Gpu
from labs.fleet.queries import node_by_id, nodes_all
from labs.fleet.services import gpu_health_set, node_cordon, node_uncordon
from labs.lifecycle.queries import leases_open
from labs.quarantine.queries import strays_all
from labs.quarantine.services import KEPT_FOR, stray_keep, stray_remove
from portal.pages.access import PersonRequest, administrator_required
from portal.pages.telling import try_or_tell


@require_safe
@administrator_required
def manage_nodes(request: PersonRequest) -> HttpResponse:
    """Every node with its checks and cards."""
    leases = leases_open()
    rows = [(node, [(gpu, leases.get(gpu.pk)) for gpu in node.gpus.all()]) for node in nodes_all()]
    return render(request, "manage/nodes.html", {"rows": rows, "strays": strays_all()})


@require_POST
@administrator_required
def manage_stray(request: PersonRequest, stray_id: int) -> HttpResponse:
    """Remove a container in quarantine now, or leave it alone for longer."""
    stray = get_object_or_404(strays_all(), pk=stray_id)
    keep = request.POST.get("keep") == "yes"
    act = stray_keep if keep else stray_remove
    done = f"{stray} is left alone for {KEPT_FOR.days} days." if keep else f"{stray} is being removed."
    try_or_tell(request, lambda: act(stray=stray, actor=request.user, now=timezone.now()), done=done)
    return redirect("manage_nodes")


@require_POST
@administrator_required
def manage_node_cordon(request: PersonRequest, node_id: str) -> HttpResponse:
    """Place no new lab there."""
    node = node_by_id(node_id=node_id)
    try_or_tell(request, lambda: node_cordon(node=node, actor=request.user, now=timezone.now()), done=f"{node} takes no new lab; running ones go on.")
    return redirect("manage_nodes")


@require_POST
@administrator_required
def manage_node_uncordon(request: PersonRequest, node_id: str) -> HttpResponse:
    """Place labs there again."""
    node = node_by_id(node_id=node_id)
    try_or_tell(request, lambda: node_uncordon(node=node, actor=request.user, now=timezone.now()), done=f"{node} takes labs again.")
    return redirect("manage_nodes")


@require_POST
@administrator_required
def manage_gpu(request: PersonRequest, uuid: str) -> HttpResponse:
    """Take a card out of service, or bring it back."""
    gpu = Gpu.objects.get(pk=uuid)
    out = request.POST.get("out") == "yes"
    health, words = (Gpu.Health.DRAINED, f"Taken out by {request.user}.") if out else (Gpu.Health.OK, "")
    done = f"{gpu} {'takes no new lab; a running one goes on' if out else 'is in service again'}."
    try_or_tell(request, lambda: gpu_health_set(gpu=gpu, health=health, words=words, actor=request.user, now=timezone.now()), done=done)
    return redirect("manage_nodes")
