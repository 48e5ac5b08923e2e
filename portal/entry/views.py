"""Opening a lab: a click becomes a single-use ticket, which the lab's own origin turns into a pass there."""

from urllib.parse import quote, urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from labs.bus.secrets import derive, secret_digest
from labs.ledger.services import event_record
from labs.lifecycle.addresses import app_origin, lab_origin, origins_are_apart
from labs.lifecycle.models import Lab
from labs.lifecycle.passes import KEY_PURPOSE, Role, mint
from labs.lifecycle.queries import lab_for_viewer
from labs.lifecycle.services import lab_entered
from labs.people.models import User
from labs.starters.queries import start_of

#: What a click may lead to inside the lab; the names are Jupyter's paths.
PLACES = {"lab": "lab", "terminal": "_gpulab/terminal", "tree": "tree"}


@require_POST
@login_required
@never_cache
def lab_open(request: HttpRequest, lab_id: str) -> HttpResponse:
    """POST: take the person to their lab; an administrator to anybody's, which is written down."""
    user = request.user
    if not isinstance(user, User):
        raise Http404
    try:
        lab = lab_for_viewer(user=user, lab_id=lab_id)
    except Lab.DoesNotExist as error:
        raise Http404 from error
    if not lab.is_live:
        messages.warning(request, f"{lab.name} is not running. Your files are kept: launch it again.")
        return redirect("lab", lab_id=lab.pk)
    role: Role = "owner" if lab.owner_id == user.pk else "admin"
    if role == "admin" and not origins_are_apart():
        messages.error(request, "Labs of others cannot be opened here: all labs share one address on this installation.")
        return redirect("lab", lab_id=lab.pk)
    if role == "admin":
        _write_down(lab, user)
    else:
        lab_entered(lab_id=lab.pk, now=timezone.now())
    return handed_over(request, lab_id=lab.pk, user=user, role=role, path=PLACES.get(request.POST.get("next", "")) or _first(lab))


def _first(lab: Lab) -> str:
    """JupyterLab, at the first notebook of the template that the lab began with."""
    start = start_of(lab=lab)
    return f"{PLACES['lab']}/tree/{quote(start.opens)}" if start and start.opens else PLACES["lab"]


def _write_down(lab: Lab, user: User) -> None:
    """An administrator in somebody's lab is an event that its owner can read."""
    with transaction.atomic():
        words = f"{user} opened this lab as an administrator."
        event_record(kind="lab.opened", subject=lab.subject, words=words, actor=user, now=timezone.now(), owner=lab.owner_id)


def handed_over(request: HttpRequest, *, lab_id: str, user: User, role: Role, path: str, port: int = 0) -> HttpResponse:
    """To the lab's own origin, or to that of its app at `port`, with a ticket. What the ticket opens ends with this session."""
    session = secret_digest(request.session.session_key) if request.session.session_key else ""
    now = timezone.now().timestamp()
    ticket = mint(key=derive(KEY_PURPOSE), kind="ticket", user_id=user.pk, lab_id=lab_id, role=role, now=now, path=path, port=port, session=session)
    origin = app_origin(lab_id, port) if port else lab_origin(lab_id)
    response = HttpResponseRedirect(f"{origin}/_gpulab/enter?{urlencode({'ticket': ticket})}", status=303)
    response["Referrer-Policy"] = "no-referrer"
    return response
