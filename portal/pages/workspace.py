"""My workspace: on which node my files are, and moving them to another."""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from labs.fleet.models import Node
from labs.lifecycle.at_rest import barred_among
from labs.lifecycle.relocations import destinations_for, homes_now, labs_in_use, workspace_move
from labs.people.models import User
from labs.relocation.queries import last_move
from labs.relocation.services import move_cancel
from labs.storage.models import WorkspaceUse
from labs.storage.queries import workspaces_of
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.workspace import MoveForm
from portal.pages.telling import try_form, try_or_tell


@dataclass(frozen=True, slots=True)
class Home:
    """A node that has files of mine, and the form that moves them; None where no other node takes them.

    `wrong`: why they may not stay, and `barred`: why they may not go to others, where a group of mine asks for encrypted workspaces.
    """

    node: Node
    use: WorkspaceUse | None
    form: MoveForm | None
    wrong: str = ""
    barred: tuple[str, ...] = ()


@require_safe
@person_required
def workspace(request: PersonRequest) -> HttpResponse:
    """Where my files are, how far a move is, and the wish for one."""
    return render(request, "workspace/workspace.html", _context(request.user))


@require_safe
@person_required
def workspace_now(request: PersonRequest) -> HttpResponse:
    """The part that moves."""
    return render(request, "workspace/_now.html", _context(request.user))


@require_POST
@person_required
def workspace_go(request: PersonRequest, node_id: str) -> HttpResponse:
    """Move what is on that node."""
    source = get_object_or_404(Node, pk=node_id)
    form = _form(request.user, source, destinations_for(source=source), (), request.POST)

    def move() -> None:
        destination = Node.objects.get(pk=form.cleaned_data["destination"])
        stop = form.cleaned_data.get("stop_labs", False)
        workspace_move(owner=request.user, source=source, destination=destination, stop_labs=stop, actor=request.user, now=timezone.now())

    if not try_form(form, move):
        return render(request, "workspace/workspace.html", _context(request.user, sent={source.pk: form}), status=422)
    messages.success(request, "Your workspace is being moved. Your labs wait meanwhile, and you are told when it is there.")
    return redirect("workspace")


@require_POST
@person_required
def workspace_stay(request: PersonRequest) -> HttpResponse:
    """Call the move off."""
    user, move = request.user, last_move(user=request.user)
    if move is not None:
        try_or_tell(request, lambda: move_cancel(move=move, actor=user, now=timezone.now()), done=f"Your workspace stays on node {move.source}.")
    return redirect("workspace")


def _context(user: User, *, sent: dict[str, MoveForm] | None = None) -> dict[str, Any]:
    """With a form as it was sent."""
    move = last_move(user=user)
    uses = {row.node_id: row for row in workspaces_of(user=user)}
    still = not (move and move.is_open)
    homes = [_home(user, node, uses.get(node.pk), sent or {}, still) for node in homes_now(user=user)]
    return {"homes": homes, "move": move, "still": still}


def _home(user: User, node: Node, use: WorkspaceUse | None, sent: dict[str, MoveForm], still: bool) -> Home:
    nodes = destinations_for(source=node) if still else []
    barred = barred_among(owner_id=user.pk, nodes=[node, *nodes])
    form = sent.get(node.pk) or _form(user, node, nodes, barred) if still else None
    shown = form if form and form.fields["destination"].choices else None  # type: ignore[attr-defined]
    return Home(node, use, shown, barred.get(node.pk, ""), tuple(barred[one.pk] for one in nodes if one.pk in barred))


def _form(user: User, node: Node, nodes: Iterable[Node], barred: Container[str], data: Any = None) -> MoveForm:
    busy = labs_in_use(user=user, nodes=[node])
    return MoveForm(data, destinations=[one for one in nodes if one.pk not in barred], busy=busy, auto_id=f"move_{node.pk}_%s")
