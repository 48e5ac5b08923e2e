"""What becomes of the labs of a node that is taken out of service: by a set time, with a word to their people; or at once, when it is given up."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from labs.bus.doorbell import node_queue, ring
from labs.fleet.models import DrainTold, Node
from labs.fleet.services import node_state_set
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_end, lab_gone, lab_notice
from labs.notices.services import notice_queue, notice_queue_admins
from labs.people.errors import Refused
from labs.people.models import User

#: No drain takes longer.
LONGEST = timedelta(days=14)
NOTICE, NOTICE_OFF = "drain", "drain_off"


def node_drain(*, node: Node, until: datetime, words: str, actor: User, now: datetime) -> int:
    """Place nothing on the node any more, and end what runs there at `until`; how many labs that concerns. Their people are told, with `words`.

    A second drain moves the deadline. Refused for a deadline that is past or too far away, and for a node that was given up.
    """
    if not now < until <= now + LONGEST:
        raise Refused(f"Labs end at a time from now on, at most {LONGEST.days} days ahead.", field="until")
    if node.state == Node.State.GONE:
        raise Refused("It was given up already.")
    words = " ".join(words.split())[:300]
    said = f"Node {node} is drained: its labs end at {until:%d %b %H:%M} UTC. {words}".strip()
    with transaction.atomic():
        node_state_set(node=node, state=Node.State.DRAINING, words=said, actor=actor, now=now, drain_until=until, drain_words=words)
        here = [lab for lab in _placed(node) if lab.state != states.STOPPING]
        for lab in here:
            _tell(lab, node, until, words, now)
        ring("worker.warn", queue=node_queue(node.pk))
    return len(here)


def node_drain_cancel(*, node: Node, actor: User, now: datetime) -> bool:
    """Let its labs go on and take new ones. False when it is not drained."""
    with transaction.atomic():
        row = Node.objects.select_for_update().get(pk=node.pk)
        if row.drain_until is None:
            return False
        node_state_set(node=row, state=Node.State.READY, words=f"The drain of node {node} was called off: it takes labs again.", actor=actor, now=now)
        for lab in _placed(node):
            _notice(lab, NOTICE_OFF, f"Node {node} stays in service after all: this lab goes on.", now)
        ring("worker.warn", queue=node_queue(node.pk))
    return True


def drains_settle(*, now: datetime) -> int:
    """A drained node on which nothing is left is cordoned, and administrators are told that it can be worked on; how many."""
    draining = Node.objects.filter(state=Node.State.DRAINING)
    return sum(_empty(node, now) for node in draining if not _placed(node))


def drain_words(*, node: Node, until: datetime) -> str:
    """What is said in a lab."""
    at = timezone.localtime(until, timezone.get_default_timezone())
    said = node.drain_words.strip()
    why = f" {said}" + ("" if said.endswith((".", "!", "?")) else ".") if said else ""
    return f"Node {node} is taken out of service, and this lab ends at {at:%d %b %H:%M}.{why} Save your work; your files stay."


def drains_to_tell(*, node_id: str) -> list[tuple[Lab, datetime | None]]:
    """The running labs of the node whose programs were not told of its drain yet, with its end; None where it was called off."""
    node = Node.objects.get(pk=node_id)
    told = dict(DrainTold.objects.filter(node=node).values_list("container", "until"))
    running = Lab.objects.select_related("node").filter(node=node, state=states.RUNNING) if told or node.drain_until else []
    return [(lab, node.drain_until) for lab in running if told.get(f"gpulab-{lab.pk}-{lab.attempt}") != node.drain_until]


def labs_by_node() -> dict[str, int]:
    """How many labs have a container on each node."""
    rows = Lab.objects.filter(state__in=states.PLACED, node__isnull=False).order_by().values_list("node_id").annotate(Count("pk"))
    return {str(node_id): count for node_id, count in rows}


def node_gone(*, node: Node, actor: User, now: datetime) -> int:
    """Give the node up for good: its labs end as lost and what they held is free; how many. Should it come back, their containers are removed there.

    Refused while it answers: a lab that may still run must not be called ended.
    """
    with transaction.atomic():
        row = Node.objects.select_for_update().get(pk=node.pk)
        if row.state == Node.State.GONE:
            return 0
        placed = _placed(row)
        if row.state != Node.State.UNKNOWN and (placed or row.state == Node.State.READY):
            raise Refused("It still answers. Drain it and wait until it is empty, or stop its worker; then give it up.")
        words = f"Node {row} was given up: its labs are lost, and what they held is free."
        node_state_set(node=row, state=Node.State.GONE, words=words, actor=actor, now=now)
        for lab in placed:
            lab_end(lab_id=lab.pk, code="node_lost", now=now, actor=actor)
            lab_gone(lab_id=lab.pk, now=now)
    return len(placed)


def _placed(node: Node) -> list[Lab]:
    return list(Lab.objects.select_related("owner").filter(node=node, state__in=states.PLACED))


def _tell(lab: Lab, node: Node, until: datetime, words: str, now: datetime) -> None:
    row = Node(pk=node.pk, name=node.name, drain_words=words)
    said = drain_words(node=row, until=until)
    _notice(lab, NOTICE, said, now)
    key = f"drained:{lab.pk}:{until.timestamp():.0f}"
    subject = f"{lab.name} ends {until:%d %b %H:%M} UTC: its node is taken out of service"
    notice_queue(user=lab.owner, kind="drained", subject=subject, words=said, url=f"/labs/{lab.pk}/", key=key, until=until, now=now)


def _notice(lab: Lab, code: str, words: str, now: datetime) -> None:
    """On its page, in the place of what was said of a drain before."""
    kept = [one for one in Lab.objects.values_list("notices", flat=True).get(pk=lab.pk) if one["code"] not in (NOTICE, NOTICE_OFF)]
    Lab.objects.filter(pk=lab.pk).update(notices=kept)
    lab_notice(lab_id=lab.pk, code=code, words=words, now=now)


def _empty(node: Node, now: datetime) -> bool:
    words = f"Node {node} is drained: no lab is left on it, and it takes no new one."
    with transaction.atomic():
        if not Node.objects.select_for_update().filter(pk=node.pk, state=Node.State.DRAINING).exists():
            return False
        node_state_set(node=node, state=Node.State.CORDONED, words=words, actor=None, now=now)
        notice_queue_admins(
            kind="node_lost", subject=f"Node {node} is empty", words=f"{words} Work on it, then let it take labs again.", now=now, url="/manage/nodes/"
        )
    return True
