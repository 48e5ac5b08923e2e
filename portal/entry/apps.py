"""Opening one port of a lab: for its owner, and for whom the owner shares it with. A ticket for that port opens nothing else."""

from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from labs.ledger.services import event_record
from labs.lifecycle import states
from labs.lifecycle.addresses import app_port_check, origins_are_apart
from labs.lifecycle.models import Lab
from labs.lifecycle.queries import labs_of
from labs.lifecycle.services import lab_entered
from labs.people.models import User
from labs.sharing.models import App
from labs.sharing.queries import app_shared_with
from labs.sharing.services import ONE_ADDRESS
from portal.entry.views import handed_over


@require_POST
@login_required
@never_cache
def app_open(request: HttpRequest, lab_id: str, port: int | None = None) -> HttpResponse:
    """POST: take the person to the program at that port (of the path, or of the form). What is neither theirs nor shared with them does not exist for them."""
    user, now = request.user, timezone.now()
    if not isinstance(user, User):
        raise Http404
    mine = labs_of(user=user).filter(pk=lab_id).first()
    port = _port(request) if port is None else port
    if wrong := app_port_check(port):
        return _told(request, mine, wrong)
    lab = mine or app_shared_with(user=user, lab_id=lab_id, port=port, now=now)
    if lab is None:
        raise Http404
    if not origins_are_apart():
        return _told(request, mine, ONE_ADDRESS)
    if lab.state != states.RUNNING:
        return _told(request, mine, f"{lab.name} is not running, so its apps do not answer.")
    if mine:
        lab_entered(lab_id=lab.pk, now=now)
    else:
        _write_down(lab, user, port)
    return handed_over(request, lab_id=lab.pk, user=user, role="owner" if mine else "guest", path=_path(lab, port), port=port)


def _port(request: HttpRequest) -> int:
    """The port of the form; 0, which is none, where it is no number."""
    text = request.POST.get("port", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


def _told(request: HttpRequest, lab: Lab | None, words: str) -> HttpResponse:
    """What is wrong, on the page of one's own lab; nothing to others."""
    if lab is None:
        raise Http404
    messages.error(request, words)
    return redirect("lab", lab_id=lab.pk)


def _write_down(lab: Lab, user: User, port: int) -> None:
    """A guest in somebody's app is an event that its owner can read."""
    with transaction.atomic():
        words = f"{user} opened port {port}, which is shared with them."
        event_record(kind="share.opened", subject=lab.subject, words=words, actor=user, now=timezone.now(), port=port)


def _path(lab: Lab, port: int) -> str:
    """Where the tool at that port begins: VS Code at its folder, all else at its front page."""
    app = App.objects.filter(lab=lab, attempt=lab.attempt, port=port, state=App.State.RUNNING, tool="vscode").first()
    return "?" + urlencode({"folder": f"/workspace/{app.folder}".rstrip("/")}) if app else ""
