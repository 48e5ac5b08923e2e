"""Opening a lab: a click becomes a single-use ticket, which the lab's own origin turns into a pass there."""

from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from labs.bus.secrets import derive
from labs.ledger.services import event_record
from labs.lifecycle.addresses import lab_origin
from labs.lifecycle.models import Lab
from labs.lifecycle.passes import KEY_PURPOSE, Role, mint
from labs.lifecycle.queries import lab_for_viewer
from labs.lifecycle.services import lab_entered
from labs.people.models import User

#: What a click may lead to inside the lab; the names are Jupyter's paths.
PLACES = {"lab": "lab", "terminal": "terminals/new/1", "tree": "tree"}


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
    if role == "admin" and settings.LABS_ORIGIN == "single":
        messages.error(request, "Labs of others cannot be opened here: all labs share one address on this installation.")
        return redirect("lab", lab_id=lab.pk)
    if role == "admin":
        _write_down(lab, user)
    else:
        lab_entered(lab_id=lab.pk, now=timezone.now())
    return _handed_over(lab, user, role, PLACES.get(request.POST.get("next", ""), PLACES["lab"]))


def _write_down(lab: Lab, user: User) -> None:
    """An administrator in somebody's lab is an event that its owner can read."""
    with transaction.atomic():
        words = f"{user} opened this lab as an administrator."
        event_record(kind="lab.opened", subject=lab.subject, words=words, actor=user, now=timezone.now(), owner=lab.owner_id)


def _handed_over(lab: Lab, user: User, role: Role, path: str) -> HttpResponse:
    ticket = mint(key=derive(KEY_PURPOSE), kind="ticket", user_id=user.pk, lab_id=lab.pk, role=role, now=timezone.now().timestamp(), path=path)
    response = HttpResponseRedirect(f"{lab_origin(lab.pk)}/_gpulab/enter?{urlencode({'ticket': ticket})}", status=303)
    response["Referrer-Policy"] = "no-referrer"
    return response
