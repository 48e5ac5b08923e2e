"""Nodes and cards: what each says of itself, with the fix beside every check that is not green."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from labs.enrolment.queries import join_tokens_open, joining_refused
from labs.enrolment.services import join_token_create, join_token_withdraw, node_give_up
from labs.fleet.models import Gpu, Node
from labs.fleet.queries import node_by_id, nodes_ever
from labs.fleet.services import gpu_health_set, node_cordon, node_uncordon
from labs.lifecycle.models import Lease
from labs.lifecycle.nodes import labs_by_node, node_drain, node_drain_cancel
from labs.lifecycle.queries import leases_open
from labs.lifecycle.relocations import people_barred, workspaces_move
from labs.people.models import User
from labs.quarantine.queries import strays_all
from labs.quarantine.services import KEPT_FOR, stray_keep, stray_remove
from labs.relocation.models import Relocation
from labs.relocation.queries import moves_by_source
from portal.pages.access import PersonRequest, administrator_required
from portal.pages.forms.nodes import DrainForm, GoneForm, JoinForm
from portal.pages.forms.workspace import EmptyForm
from portal.pages.telling import try_form, try_or_tell


@dataclass(frozen=True, slots=True)
class Row:
    """A node as the page shows it."""

    node: Node
    cards: list[tuple[Gpu, Lease | None]]
    labs: int
    drain: DrainForm
    gone: GoneForm
    moves: list[Relocation]
    empty: EmptyForm | None


@require_safe
@administrator_required
def manage_nodes(request: PersonRequest) -> HttpResponse:
    """Every node with its checks and cards."""
    return _page(request)


def _page(
    request: PersonRequest,
    *,
    node_id: str = "",
    drain: DrainForm | None = None,
    gone: GoneForm | None = None,
    empty: EmptyForm | None = None,
    join: JoinForm | None = None,
    command: str = "",
    status: int = 200,
) -> HttpResponse:
    """With a form as it was sent; `command` is shown this once."""
    leases, labs, nodes, moves = leases_open(), labs_by_node(), list(nodes_ever()), moves_by_source()
    rows = [
        Row(
            node=node,
            cards=[(gpu, leases.get(gpu.pk)) for gpu in node.gpus.all()],
            labs=labs.get(node.pk, 0),
            drain=drain if drain and node.pk == node_id else DrainForm(auto_id=f"drain_{node.pk}_%s"),
            gone=gone if gone and node.pk == node_id else GoneForm(node=node, auto_id=f"gone_{node.pk}_%s"),
            moves=moves.get(node.pk, []),
            empty=empty if empty and node.pk == node_id else _empty_form(node, nodes),
        )
        for node in nodes
    ]
    joining = {"form": join or JoinForm(auto_id="join_%s"), "command": command, "refused": joining_refused(), "tokens": join_tokens_open(now=timezone.now())}
    return render(request, "manage/nodes.html", {"rows": rows, "strays": strays_all(), "joining": joining}, status=status)


@require_POST
@administrator_required
def manage_node_token(request: PersonRequest) -> HttpResponse:
    """Let a host join; the command with its token is shown this once."""
    form = JoinForm(request.POST, auto_id="join_%s")
    secrets: list[str] = []

    def make() -> None:
        secrets.append(join_token_create(node_id=form.cleaned_data["node_id"], actor=request.user, now=timezone.now())[1])

    if not try_form(form, make):
        return _page(request, join=form, status=422)
    return _page(request, command=f"sudo /opt/gpulab/deploy/gpulab-node join {settings.PORTAL_URL} {secrets[0]}")


@require_POST
@administrator_required
def manage_node_token_off(request: PersonRequest, token_id: int) -> HttpResponse:
    """Nobody joins with it."""
    try_or_tell(request, lambda: join_token_withdraw(token_id=token_id, actor=request.user, now=timezone.now()), done="No host joins with that token any more.")
    return redirect("manage_nodes")


@require_POST
@administrator_required
def manage_node_drain(request: PersonRequest, node_id: str) -> HttpResponse:
    """End its labs at a set time, and tell their people."""
    node, now = get_object_or_404(Node, pk=node_id), timezone.now()
    form = DrainForm(request.POST, auto_id=f"drain_{node_id}_%s")
    if not try_form(form, lambda: node_drain(node=node, until=form.until(now), words=form.cleaned_data["words"], actor=request.user, now=now)):
        return _page(request, node_id=node_id, drain=form, status=422)
    messages.success(request, f"{node} takes no new lab, and the people on it were told.")
    return redirect("manage_nodes")


@require_POST
@administrator_required
def manage_node_drain_off(request: PersonRequest, node_id: str) -> HttpResponse:
    """Let its labs go on."""
    node = get_object_or_404(Node, pk=node_id)
    try_or_tell(
        request, lambda: node_drain_cancel(node=node, actor=request.user, now=timezone.now()), done=f"{node} takes labs again, and its people were told."
    )
    return redirect("manage_nodes")


@require_POST
@administrator_required
def manage_node_gone(request: PersonRequest, node_id: str) -> HttpResponse:
    """Give it up for good."""
    node = get_object_or_404(Node, pk=node_id)
    form = GoneForm(request.POST, node=node, auto_id=f"gone_{node_id}_%s")
    if not try_form(form, lambda: node_give_up(node=node, actor=request.user, now=timezone.now())):
        return _page(request, node_id=node_id, gone=form, status=422)
    messages.success(request, f"{node} was given up. Its labs ended as lost, and what they held is free.")
    return redirect("manage_nodes")


def _empty_form(node: Node, nodes: list[Node], data: Any = None) -> EmptyForm | None:
    """Where its workspaces may go; None where they need not, or cannot."""
    others = [one for one in nodes if one.pk != node.pk and one.runtime == node.runtime and one.state == Node.State.READY]
    if not others or node.state == Node.State.GONE:
        return None
    return EmptyForm(data, destinations=others, auto_id=f"empty_{node.pk}_%s")


@require_POST
@administrator_required
def manage_node_empty(request: PersonRequest, node_id: str) -> HttpResponse:
    """Move every workspace of the node to another."""
    node = get_object_or_404(Node, pk=node_id)
    form = _empty_form(node, list(nodes_ever()), request.POST)
    moved: list[int] = []
    stay: list[User] = []

    def move() -> None:
        destination = node_by_id(node_id=form.cleaned_data["destination"] if form else "")
        stay.extend(people_barred(source=node, destination=destination))
        moved.append(workspaces_move(source=node, destination=destination, actor=request.user, now=timezone.now()))

    if form is None:
        messages.error(request, f"No other node takes the workspaces of {node}.")
        return redirect("manage_nodes")
    if not try_form(form, move):
        return _page(request, node_id=node_id, empty=form, status=422)
    messages.success(request, f"Workspaces of {node} that are moved: {moved[0]}, each as soon as no lab uses it. Their people were told.")
    if stay:
        names = ", ".join(str(user) for user in stay)
        messages.warning(request, f"These stay, because their groups ask for encrypted workspaces, which that node has not: of {names}.")
    return redirect("manage_nodes")


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
