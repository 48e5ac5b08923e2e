"""Checkpoints and caches of my workspace: what stays, what would go, what went."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from labs.people.models import User
from labs.storage.models import WorkspaceUse
from labs.storage.queries import workspaces_of
from labs.tidying.models import Chore, Wish
from labs.tidying.queries import chores_of, wish_of
from labs.tidying.rules import ASKED, CACHE_WORDS, CACHES, CHECKPOINTS, DONE, FAILED, LOOK
from labs.tidying.services import caches_save, chore_ask, keep_save, keep_switch, looks_ask
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.tidying import CachesForm, KeepForm
from portal.pages.telling import try_form, try_or_tell

#: So many of the last are shown.
LAST = 10


@dataclass(frozen=True, slots=True)
class Seen:
    """One checkpoint as the last look found it; `stays` is empty for one that would go."""

    path: str
    size: int
    changed: datetime
    stays: str


@dataclass(frozen=True, slots=True)
class Place:
    """One node with files of mine: the last look, whether it was with the words that hold now, what is under way, and why the last was not done."""

    use: WorkspaceUse
    look: Chore | None
    seen: list[Seen]
    fresh: bool
    busy: bool
    failed: str
    caches: list[tuple[str, str, int]]


@require_safe
@person_required
def tidy(request: PersonRequest) -> HttpResponse:
    """All of it."""
    wish = wish_of(user=request.user, now=timezone.now())
    return render(request, "workspace/tidy.html", _context(wish, request.user) | {"form": KeepForm.of(wish), "caches_form": _caches_form(wish)})


@require_safe
@person_required
def tidy_now(request: PersonRequest) -> HttpResponse:
    """The part that moves."""
    return render(request, "workspace/_tidy.html", _context(wish_of(user=request.user, now=timezone.now()), request.user))


@require_POST
@person_required
def tidy_keep(request: PersonRequest) -> HttpResponse:
    """Say what stays, and look at what would go."""
    user, now = request.user, timezone.now()
    wish = wish_of(user=user, now=now)
    form = KeepForm.of(wish, request.POST)
    if not try_form(form, lambda: keep_save(user=user, folders=form.cleaned_data["folders"].splitlines(), keep=form.keep, now=now)):
        return render(request, "workspace/tidy.html", _context(wish, user) | {"form": form, "caches_form": _caches_form(wish)}, status=422)
    try_or_tell(request, lambda: looks_ask(user=user, now=now), done="Saved. What would go is looked for; nothing is removed.")
    return redirect("tidy")


@require_POST
@person_required
def tidy_switch(request: PersonRequest) -> HttpResponse:
    """Have older checkpoints removed by themselves, or not."""
    on = request.POST.get("on") == "1"
    done = "Older checkpoints go into the trash by themselves from now on." if on else "Nothing is removed by itself any more."
    try_or_tell(request, lambda: keep_switch(user=request.user, on=on, now=timezone.now()), done=done)
    return redirect("tidy")


@require_POST
@person_required
def tidy_look(request: PersonRequest) -> HttpResponse:
    """Look again."""
    try_or_tell(request, lambda: looks_ask(user=request.user, now=timezone.now()), done="Your files are being looked through. That takes a few seconds.")
    return redirect("tidy")


@require_POST
@person_required
def tidy_checkpoints(request: PersonRequest) -> HttpResponse:
    """Put the older ones of a node into the trash now."""
    node_id, now = request.POST.get("node", ""), timezone.now()
    done = "The older ones are being put into the trash. They lie there for seven days."
    try_or_tell(request, lambda: chore_ask(user=request.user, node_id=node_id, kind=CHECKPOINTS, now=now), done=done)
    return redirect("tidy")


@require_POST
@person_required
def tidy_caches(request: PersonRequest) -> HttpResponse:
    """Say which caches are emptied at labs' ends."""
    form = CachesForm(request.POST)
    if form.is_valid():
        names = form.cleaned_data["caches"]
        try_or_tell(request, lambda: caches_save(user=request.user, names=names, now=timezone.now()), done="Saved.")
    else:
        messages.error(request, "There is no such cache.")
    return redirect("tidy")


@require_POST
@person_required
def tidy_clear(request: PersonRequest) -> HttpResponse:
    """Empty caches of a node now."""
    node_id, names, now = request.POST.get("node", ""), request.POST.getlist("caches"), timezone.now()
    done = "The caches are being emptied; what came free is told here."
    try_or_tell(request, lambda: chore_ask(user=request.user, node_id=node_id, kind=CACHES, caches=names, now=now), done=done)
    return redirect("tidy")


def _caches_form(wish: Wish) -> CachesForm:
    return CachesForm(initial={"caches": wish.caches})


def _context(wish: Wish, user: User) -> dict[str, Any]:
    chores = list(chores_of(user=user)[:200])
    places = [_place(use, wish, [one for one in chores if one.node_id == use.node_id]) for use in workspaces_of(user=user)]
    return {
        "wish": wish,
        "places": places,
        "ready": bool(places) and all(place.fresh for place in places),
        "done": [one for one in chores if one.count or one.freed][:LAST],
    }


def _place(use: WorkspaceUse, wish: Wish, own: list[Chore]) -> Place:
    look = next((one for one in own if one.kind == LOOK and one.state == DONE), None)
    found = look.found if look else {}
    fresh = look is not None and wish.pk is not None and look.asked_at >= wish.changed_at
    seen = [Seen(one["path"], one["size"], datetime.fromtimestamp(one["changed"], UTC), one["stays"]) for one in found.get("seen", [])]
    sizes = found.get("caches", {})
    caches = [(name, words, sizes[name]) for name, words in CACHE_WORDS.items() if sizes.get(name)]
    newest = own[0] if own else None
    failed = newest.words if newest and newest.state == FAILED else ""
    return Place(use, look, seen, fresh, any(one.state == ASKED for one in own), failed, caches)
