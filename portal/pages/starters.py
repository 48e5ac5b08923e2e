"""Templates: what a lab can begin with; teachers and administrators make them, and new versions of them."""

import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from labs.catalogue.models import Image
from labs.catalogue.queries import images_offered
from labs.fleet.queries import runtimes
from labs.lifecycle.occupancy import nodes_view
from labs.people.models import User
from labs.policy.queries import limits_of
from labs.starters.models import Template, Version
from labs.starters.queries import Offer, audiences_of, may_make, offers_of, templates_for, templates_managed
from labs.starters.services import template_make, template_renew, template_retire
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.starters import TemplateForm, VersionForm
from portal.pages.starters_folders import folders_context, parcel_of
from portal.pages.telling import try_form, try_or_tell


@require_http_methods(["GET", "HEAD", "POST"])
@person_required
def templates(request: PersonRequest) -> HttpResponse:
    """The cards; for those who make templates their own and the form, which posted makes one."""
    maker = may_make(user=request.user)
    if request.method == "POST" and not maker:
        raise PermissionDenied("Teachers and administrators make templates.")
    now = timezone.now()
    images = images_offered(runtimes=runtimes() or None, user=request.user)
    given = {"images": images, "groups": audiences_of(user=request.user), "everybody": request.user.is_administrator}
    form = TemplateForm(request.POST or None, parcel=parcel_of(request), **given) if maker else None
    if request.method == "POST" and form and try_form(form, lambda: _make(request, form, now)):
        return redirect("templates")
    context = {
        "offers": offers_for(user=request.user, images=images, now=now),
        "key": secrets.token_urlsafe(16),
        "form": form,
        "managed": templates_managed(user=request.user) if maker else [],
    } | (folders_context(request) if maker else {})
    return render(request, "starters/templates.html", context, status=422 if form and form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@person_required
def template(request: PersonRequest, slug: str) -> HttpResponse:
    """Its versions and the form of the next one, filled with the last; posted, a new version."""
    row = _managed(request, slug)
    last: Version = row.versions.all()[0]
    images = images_offered(runtimes=runtimes() or None, user=request.user)
    parcel = parcel_of(request)
    form = None if row.shipped else VersionForm(request.POST or None, images=images, initial=VersionForm.initial_of(last), parcel=parcel)
    if request.method == "POST" and form and try_form(form, lambda: template_renew(template=row, draft=form.draft, actor=request.user, now=timezone.now())):
        messages.success(request, "Labs started from now on get the new version. What people have of earlier ones stays.")
        return redirect("template", slug=slug)
    again = {"node": last.home_node, "folder": last.home_folder} if last.home_folder else {}
    context = {"template": row, "last": last, "form": form} | ({} if row.shipped else folders_context(request, initial=again))
    return render(request, "starters/template.html", context, status=422 if form and form.is_bound else 200)


@require_POST
@person_required
def template_off(request: PersonRequest, slug: str) -> HttpResponse:
    """Offer it no more, or again."""
    row, retired = _managed(request, slug), "back" not in request.POST
    done = f"{row} is not offered any more. What people have of it stays." if retired else f"{row} is offered again."
    try_or_tell(request, lambda: template_retire(template=row, retired=retired, actor=request.user, now=timezone.now()), done=done)
    return redirect("templates")


def offers_for(*, user: User, images: Iterable[Image], now: datetime) -> list[Offer]:
    """What the person can begin with, and what a click takes."""
    versions = list(templates_for(user=user))
    return offers_of(versions=versions, images=images, limits=limits_of(user=user, now=now), nodes=nodes_view()) if versions else []


def _managed(request: PersonRequest, slug: str) -> Template:
    """One that the person may change."""
    found = next((one for one in templates_managed(user=request.user) if one.slug == slug), None)
    if found is None:
        raise Template.DoesNotExist
    return found


def _make(request: PersonRequest, form: TemplateForm, now: datetime) -> None:
    words: dict[str, Any] = {name: form.cleaned_data[name] for name in ("title", "summary", "minutes", "group")}
    made = template_make(**words, draft=form.draft, actor=request.user, now=now)
    messages.success(request, f"{made} stands on the launch page of {made.audience} now. Try it yourself once.")
