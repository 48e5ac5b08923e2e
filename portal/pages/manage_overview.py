"""The administrators' overview: what needs a hand, each with where to lend it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from labs.fleet.models import Gpu, Node, NodeImage
from labs.fleet.queries import gpus_all, image_progress, nodes_all
from labs.fleet.versions import VERSION_CHECK
from labs.lifecycle import states
from labs.lifecycle.queries import labs_all, leases_open
from labs.lifecycle.waiting import waiting_labs
from labs.notices.queries import failures_recent
from labs.people.models import User
from labs.people.queries import invitations_open, people_all
from labs.policy.queries import requests_to_answer
from portal.pages.access import PersonRequest, administrator_required

LONG_WAIT = timedelta(hours=4)
RECENT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Matter:
    """Something that needs a hand: how bad (red or yellow), what, and where to go."""

    tone: str
    words: str
    advice: str
    url: str
    button: str


@require_safe
@administrator_required
def manage(request: PersonRequest) -> HttpResponse:
    """Figures and matters."""
    now = timezone.now()
    cards = list(gpus_all())
    figures = {
        "cards": len(cards),
        "leased": len(leases_open()),
        "running": labs_all(live=True).filter(state__in=states.PLACED).count(),
        "waiting": len(waiting_labs()),
        "people": people_all().filter(is_active=True).count(),
        "invitations": invitations_open(now=now).count(),
    }
    return render(request, "manage/overview.html", {"figures": figures, "matters": _matters(cards, request.user, now)})


def _matters(cards: list[Gpu], user: User, now: datetime) -> list[Matter]:
    found = [*_of_nodes(list(nodes_all())), *_of_cards(cards), *_of_images(), *_of_labs(now), *_of_requests(user), *_of_messages(now)]
    return sorted(found, key=lambda matter: matter.tone != "red")


def _of_nodes(nodes: list[Node]) -> list[Matter]:
    url = reverse("manage_nodes")
    if not nodes:
        return [Matter("red", "No node has reported.", "Start a worker: labs wait until one does.", url, "Nodes")]
    matters = [
        Matter("red", f"Nothing is heard of node {node}.", "Is its worker running?", url, "Look at it") for node in nodes if node.state == Node.State.UNKNOWN
    ]
    matters += [Matter("yellow", f"Node {node} is cordoned.", "It takes no new lab.", url, "Nodes") for node in nodes if node.state == Node.State.CORDONED]
    matters += [
        Matter("yellow", f"Node {node} is draining.", "It takes no new lab, and those on it end at the time that was set.", url, "Nodes")
        for node in nodes
        if node.state == Node.State.DRAINING
    ]
    for node in nodes:
        bad = [check for check in node.checks if check.get("state") in ("red", "yellow")]
        matters += [Matter(check["state"], f"{node}, {_shown(check['name'])}: {check['words']}", check.get("fix", ""), url, "See the check") for check in bad]
    return matters


def _shown(check: str) -> str:
    """A check's name in a sentence: `Docker Engine` of `version: Docker Engine`."""
    return check.removeprefix(VERSION_CHECK)


def _of_cards(cards: list[Gpu]) -> list[Matter]:
    url = reverse("manage_nodes")
    return [
        Matter(
            "red" if gpu.health == Gpu.Health.UNKNOWN else "yellow", f"{gpu} on {gpu.node}: {gpu.get_health_display().lower()}.", gpu.health_words, url, "Cards"
        )
        for gpu in cards
        if gpu.health != Gpu.Health.OK
    ]


def _of_images() -> list[Matter]:
    failed = [row for row in image_progress() if row.state == NodeImage.State.FAILED]
    return [Matter("red", f"The image {row.image} could not be prepared on {row.node}.", row.words, reverse("manage_images"), "Images") for row in failed]


def _of_labs(now: datetime) -> list[Matter]:
    matters = []
    failed = labs_all(live=False).filter(state=states.FAILED, ended_at__gt=now - RECENT).count()
    if failed:
        words = f"{failed} lab{' has' if failed == 1 else 's have'} failed in the last day."
        matters.append(Matter("yellow", words, "Each says why on its page.", reverse("manage_labs") + "?live=ended", "Ended labs"))
    long = [lab for lab in waiting_labs() if lab.waits_since < now - LONG_WAIT]
    if long:
        words = f"{len(long)} lab{' waits' if len(long) == 1 else 's wait'} for more than four hours."
        matters.append(Matter("yellow", words, "The queue says for what.", reverse("queue"), "Queue"))
    return matters


def _of_messages(now: datetime) -> list[Matter]:
    failed = list(failures_recent(now=now)[:100])
    if not failed:
        return []
    words = f"{len(failed)} message{'' if len(failed) == 1 else 's'} to people could not be sent in the last week."
    newest = failed[0]
    advice = f"The newest, by {newest.get_channel_display().lower()} to {newest.notice.user}: {newest.last_error}"
    return [Matter("yellow", words, advice, reverse("account_notifications"), "Send a test")]


def _of_requests(user: User) -> list[Matter]:
    count = requests_to_answer(user=user).count()
    words = f"{count} {'person asks' if count == 1 else 'people ask'} for more than they may have."
    return [Matter("yellow", words, "They are told what you decide.", reverse("manage_quotas") + "#requests", "Answer")] if count else []
