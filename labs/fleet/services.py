"""What nodes report, and what administrators decide about them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from labs.bus.bus import publish
from labs.bus.doorbell import node_queue, ring
from labs.catalogue.models import Image
from labs.fleet.models import DrainTold, Gpu, Node, NodeImage
from labs.fleet.queries import HEARD
from labs.ledger.services import Actor, event_record
from labs.notices.services import notice_queue_admins
from labs.people.errors import Refused

#: A card that misses this many readings in a row is UNKNOWN.
MISSES_TO_UNKNOWN = 3
#: What becomes of a card that its node found sick, for administrators.
SICK = {
    Gpu.Health.UNKNOWN: "A lab on it goes on; it gets no new one until it answers again.",
    Gpu.Health.HELD: "It gets no lab until that is gone, which is seen by itself. End the process on the host, or reset the GPU.",
    Gpu.Health.DRAINED: "It gets no new lab until you put it back on the page of nodes.",
    Gpu.Health.RETIRED: "It gets no lab any more.",
}
#: What is kept of a card as its node reports it.
CARD_FACTS = ("index", "model", "memory_mib", "compute_capability", "mig", "profile", "share", "place", "pci")


def node_report(*, node_id: str, now: datetime, **facts: Any) -> Node:
    """A sign of life with what the node says of itself. A node that was unknown is again what it was before; one that was given up stays so."""
    node, made = Node.objects.get_or_create(pk=node_id, defaults={"name": node_id})
    changed = {name: value for name, value in facts.items() if getattr(node, name) != value}
    with transaction.atomic():
        if node.state == Node.State.UNKNOWN:
            changed |= {"state": node.state_before or Node.State.READY, "state_before": ""}
        Node.objects.filter(pk=node_id).update(heartbeat_at=now, **changed)
        if made or "state" in changed:
            event_record(kind="node.ready", subject=f"node:{node_id}", words=f"Node {node} reported for work.", actor=None, now=now)
        if changed:
            publish("fleet", "node", node=node_id)
    node.refresh_from_db()
    return node


def node_open(*, node_id: str) -> Node:
    """The node's row, made at its first start."""
    return Node.objects.get_or_create(pk=node_id, defaults={"name": node_id})[0]


def node_unknown(*, node_id: str, now: datetime) -> bool:
    """Nothing was heard of a node for too long: no new labs there; what runs there goes on."""
    with transaction.atomic():
        if not Node.objects.filter(pk=node_id, state__in=HEARD).update(state_before=F("state"), state=Node.State.UNKNOWN):
            return False
        event_record(kind="node.unknown", subject=f"node:{node_id}", words=f"Nothing is heard of node {node_id}.", actor=None, now=now)
        _admins_tell("node_lost", node_id, f"Node {node_id} is lost", "Labs on it go on; it gets no new one. Is the host up, and its worker running?", now)
        publish("fleet", "node", node=node_id)
    return True


def node_cordon(*, node: Node, actor: Actor, now: datetime) -> None:
    """Place no new lab there; running ones go on."""
    words = f"Node {node} was cordoned: it takes no new lab."
    node_state_set(node=node, state=Node.State.CORDONED, words=words, actor=actor, now=now)


def node_uncordon(*, node: Node, actor: Actor, now: datetime) -> None:
    """Place labs there again."""
    node_state_set(node=node, state=Node.State.READY, words=f"Node {node} takes labs again.", actor=actor, now=now)


def node_state_set(
    *, node: Node, state: str, words: str, actor: Actor | None, now: datetime, drain_until: datetime | None = None, drain_words: str = ""
) -> None:
    """What an administrator decided of a node. One that is not heard now is that as soon as it is heard again; one given up needs a sign of life first."""
    with transaction.atomic():
        was = Node.objects.select_for_update().values_list("state", flat=True).get(pk=node.pk)
        away = was == Node.State.UNKNOWN or (was == Node.State.GONE and state != Node.State.GONE)
        later = away and state != Node.State.GONE
        columns = {"state": Node.State.UNKNOWN, "state_before": state} if later else {"state": state, "state_before": ""}
        Node.objects.filter(pk=node.pk).update(drain_until=drain_until, drain_words=drain_words, **columns)
        event_record(kind=f"node.{state}", subject=f"node:{node.pk}", words=words, actor=actor, now=now)
        publish("fleet", "node", node=node.pk)
        ring("worker.schedule")


def drain_told(*, node_id: str, container: str, until: datetime | None) -> None:
    """Its programs know of that end, or that there is none."""
    if until is None:
        DrainTold.objects.filter(node_id=node_id, container=container).delete()
    else:
        DrainTold.objects.update_or_create(node_id=node_id, container=container, defaults={"until": until})


def gpus_report(*, node_id: str, cards: Sequence[Mapping[str, Any]], simulated: bool, now: datetime) -> None:
    """Bring the node's cards and slices up to date: `cards` have fault and the CARD_FACTS, a card before its slices.

    One that is missing or faulty three times in a row is UNKNOWN and gets no new lab; a running lab is not touched.
    """
    known = {gpu.uuid: gpu for gpu in Gpu.objects.filter(node_id=node_id)}
    for card in cards:
        gpu = known.pop(card["uuid"], None)
        facts = {name: card[name] for name in CARD_FACTS} | {"parent_id": card["parent"] or None, "simulated": simulated}
        if gpu is None:
            gpu = _gpu_add(node_id, card["uuid"], facts, now)
        elif not card["fault"] and any(getattr(gpu, name) != value for name, value in facts.items()):
            Gpu.objects.filter(pk=gpu.pk).update(**facts)
        _gpu_seen(gpu, card["fault"], now)
    for gpu in known.values():
        _gpu_seen(gpu, "The driver no longer lists it.", now)


def _gpu_add(node_id: str, uuid: str, facts: Mapping[str, Any], now: datetime) -> Gpu:
    with transaction.atomic():
        gpu, made = Gpu.objects.update_or_create(uuid=uuid, defaults={"node_id": node_id, **facts})
        if made:
            event_record(kind="gpu.added", subject=f"gpu:{uuid}", words=f"Card {gpu} joined node {node_id}.", actor=None, now=now)
            ring("worker.schedule")
    return gpu


def _gpu_seen(gpu: Gpu, fault: str, now: datetime) -> None:
    """Count misses; move between OK and UNKNOWN. A card that an administrator took out stays out."""
    misses = min(gpu.misses + 1, MISSES_TO_UNKNOWN) if fault else 0
    if misses != gpu.misses:
        Gpu.objects.filter(pk=gpu.pk).update(misses=misses)
    if fault and misses == MISSES_TO_UNKNOWN and gpu.health == Gpu.Health.OK:
        gpu_health_set(gpu=gpu, health=Gpu.Health.UNKNOWN, words=fault, actor=None, now=now)
    if not fault and gpu.health == Gpu.Health.UNKNOWN:
        gpu_health_set(gpu=gpu, health=Gpu.Health.OK, words="", actor=None, now=now)


def _admins_tell(kind: str, thing: str, subject: str, words: str, now: datetime) -> None:
    """At most once an hour of each thing: one that comes and goes must not fill anybody's mailbox."""
    notice_queue_admins(kind=kind, subject=subject, words=words, url="/manage/nodes/", key=f"{kind}:{thing}:{now:%Y%m%d%H}", now=now)


def gpu_health_set(*, gpu: Gpu, health: str, words: str, actor: Actor | None, now: datetime) -> None:
    """Take a card out of service or bring it back. Its running lab is not touched. One put back by hand learns anew what is usual on it."""
    if health not in Gpu.Health.values:
        raise Refused(f"There is no health {health!r}.", field="health")
    with transaction.atomic():
        anew = {"baseline_mib": None} if actor is not None and health == Gpu.Health.OK else {}
        Gpu.objects.filter(pk=gpu.pk).update(health=health, health_words=words, **anew)
        sentence = f"Card {gpu}: {Gpu.Health(health).label.lower()}. {words}".strip()
        event_record(kind="gpu.health", subject=f"gpu:{gpu.pk}", words=sentence, actor=actor, now=now, health=health)
        if actor is None and health in SICK:
            subject = f"GPU {gpu.index} of node {gpu.node_id} is {'held back' if health == Gpu.Health.HELD else 'sick'}"
            _admins_tell("card_sick", f"{gpu.pk}:{health}", subject, f"{words}\n\n{SICK[Gpu.Health(health)]}", now)
        publish("fleet", "gpu", gpu=gpu.pk)
        ring("worker.schedule")


def gpus_await_look(*, uuids: Sequence[str], now: datetime) -> None:
    """A lab has left these cards: nobody else has them before a reading shows each as clean as it was. Call it where their leases close.

    Cards that no driver was read of yet have no such look.
    """
    looked = Gpu.objects.select_for_update(no_key=True).filter(pk__in=uuids, baseline_mib__isnull=False).order_by("pk")
    Gpu.objects.filter(pk__in=[gpu.pk for gpu in looked]).update(held_since=now)


def image_bring(*, image: Image, actor: Actor | None, now: datetime, node_ids: Sequence[str] | None = None) -> int:
    """Ask every node (or these) that could run the image and does not hold it to prepare it, also after it gave up; how many."""
    nodes = (
        Node.objects.filter(runtime=image.runtime)
        .exclude(state=Node.State.GONE)
        .exclude(images__in=NodeImage.objects.filter(image=image, state=NodeImage.State.PRESENT))
    )
    if node_ids is not None:
        nodes = nodes.filter(pk__in=node_ids)
    with transaction.atomic():
        for node in nodes:
            row = {"state": NodeImage.State.ABSENT, "tries": 0, "percent": 0, "words": "", "updated_at": now}
            NodeImage.objects.update_or_create(node=node, image=image, defaults=row)
            ring("worker.image_prepare", queue=node_queue(node.pk), node_id=node.pk, image_id=image.pk)
        if nodes:
            names = ", ".join(str(node) for node in nodes)
            event_record(kind="image.asked", subject=f"image:{image.pk}", words=f"Image {image} is to be prepared on {names}.", actor=actor, now=now)
    return len(nodes)


def node_image_set(*, node_id: str, image_id: int, state: str, percent: int, words: str, now: datetime) -> None:
    """How far the node is with an image; waiting labs show it."""
    with transaction.atomic():
        row, _ = NodeImage.objects.get_or_create(node_id=node_id, image_id=image_id, defaults={"updated_at": now})
        moved = row.state != state
        row.tries = row.tries + 1 if moved and state == NodeImage.State.FAILED else row.tries
        row.state, row.percent, row.words, row.updated_at = state, percent, words[:2000], now
        row.save()
        publish("queue", "image", node=node_id, image=image_id, state=state, percent=percent)
        if moved and state == NodeImage.State.PRESENT:
            event_record(kind="image.present", subject=f"image:{image_id}", words=f"Image {row.image} is ready on node {node_id}.", actor=None, now=now)
            ring("worker.schedule")
