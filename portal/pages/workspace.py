"""My workspace: on which node my files are, and moving them to another."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from labs.fleet.models import Node
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
    """A node that has files of mine, and the form that moves them; None where no other node takes them."""

    node: Node
    use: WorkspaceUse | None
    form: MoveForm | None


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
    form = _form(request.user, source, data=request.POST)

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
    move, shared = last_move(user=user), settings.WORKSPACES == "shared"
    uses = {row.node_id: row for row in workspaces_of(user=user)}
    still = not shared and not (move and move.is_open)
    homes = [Home(node, uses.get(node.pk), _offered(user, node, sent or {}) if still else None) for node in homes_now(user=user)]
    return {"homes": homes, "move": move, "shared": shared, "still": still}


def _offered(user: User, node: Node, sent: dict[str, MoveForm]) -> MoveForm | None:
    form = sent.get(node.pk) or _form(user, node)
    return form if form.fields["destination"].choices else None  # type: ignore[attr-defined]


def _form(user: User, node: Node, data: Any = None) -> MoveForm:
    busy = labs_in_use(user=user, nodes=[node])
    return MoveForm(data, destinations=destinations_for(source=node), busy=busy, auto_id=f"move_{node.pk}_%s")
