"""Folders of one's own workspace that become templates: having one copied, and looking at what was copied."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from labs.files.queries import desk_nodes
from labs.files.services import desk_ask
from labs.starters.models import Parcel, Template
from labs.starters.queries import may_make, parcels_of, templates_managed
from labs.starters.services import parcel_ask
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.starters import FolderForm
from portal.pages.telling import first_error, try_or_tell

DONE = "The folder is being copied. What is in it is shown here before anybody else sees it."


@require_POST
@person_required
def template_folder_copy(request: PersonRequest) -> HttpResponse:
    """Open the person's files, and have the folder copied out of them."""
    if not may_make(user=request.user):
        raise PermissionDenied("Teachers and administrators make templates.")
    back = _page_of(request)
    form = FolderForm(request.POST, nodes=desk_nodes(user=request.user))
    if form.is_valid():
        try_or_tell(request, lambda: _copy(request, form), done=DONE)
        return redirect(back)
    return render(request, "starters/folder.html", {"folder_form": form, "back": back, "wrong": first_error(form)}, status=422)


@require_safe
@person_required
def template_folders_now(request: PersonRequest) -> HttpResponse:
    """The part that moves: what was copied, and what is on its way."""
    return render(request, "starters/_parcels.html", {"parcels": parcels_of(user=request.user), "at": _page_of(request)})


def folders_context(request: PersonRequest, *, initial: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the pages of those who make templates show of folders."""
    nodes = desk_nodes(user=request.user)
    form = FolderForm(nodes=nodes, initial={"node": nodes[0].pk if nodes else ""} | (initial or {}))
    return {"folder_form": form, "parcels": parcels_of(user=request.user), "parcel": parcel_of(request), "at": request.path}


def parcel_of(request: PersonRequest) -> Parcel | None:
    """The copied folder that the address names: the person's own."""
    number = request.GET.get("parcel", "")
    return get_object_or_404(Parcel, pk=number, owner=request.user, state=Parcel.State.READY) if number.isdecimal() and len(number) < 16 else None


def _copy(request: PersonRequest, form: FolderForm) -> None:
    node, now = form.nodes[form.cleaned_data["node"]], timezone.now()
    parcel_ask(owner=request.user, node=node, folder=form.cleaned_data["folder"], now=now)
    desk_ask(user=request.user, node_id=node.pk, now=now)


def _page_of(request: PersonRequest) -> str:
    """The template's page that it was asked on, or that of all."""
    slug = request.POST.get("template", "") or request.GET.get("template", "")
    found = next((one for one in templates_managed(user=request.user) if one.slug == slug), None) if slug else None
    return reverse("template", args=[found.slug]) if isinstance(found, Template) else reverse("templates")
