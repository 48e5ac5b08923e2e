"""Asked first: when the turn of such a lab comes, its cards are held for ten minutes for its owner, who takes them or lets them pass.

The cards are leased meanwhile, so that the database refuses them to everybody else.
"""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q

from labs.bus.doorbell import ring
from labs.catalogue.queries import images_restricted, outsiders
from labs.fleet.models import Gpu, Node
from labs.ledger.services import event_record
from labs.lifecycle import states
from labs.lifecycle.at_rest import barred_from
from labs.lifecycle.models import Lab, Lease, is_past
from labs.lifecycle.moves import lab_advance, lab_announce, lab_begin, lab_end
from labs.people.errors import Refused
from labs.people.models import User


def lab_ask_first_set(*, lab: Lab, ask_first: bool, actor: User, now: datetime) -> bool:
    """Let a queued lab's owner be asked when its turn comes, or let it start by itself. False when it is so already."""
    with transaction.atomic():
        row = Lab.objects.select_for_update().get(pk=lab.pk)
        if row.state != states.QUEUED:
            raise Refused("It does not wait in the queue any more.", code="state")
        if row.ask_first == ask_first:
            return False
        Lab.objects.filter(pk=row.pk).update(ask_first=ask_first)
        words = "When its turn comes, it is held for its owner for 10 minutes." if ask_first else "Starts by itself when its turn comes."
        event_record(kind="lab.ask_first", subject=row.subject, words=words, actor=actor, now=now)
        lab_announce(lab=row)
    return True


def lab_claim(*, lab: Lab, actor: User, now: datetime) -> bool:
    """Take what is held and start. False when it was taken already; Refused when it has passed on."""
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=lab.owner_id)
        row = Lab.objects.select_for_update().get(pk=lab.pk)
        if row.state in states.PLACED:
            return False
        if row.state != states.OFFERED or is_past(row.deadline_at, now):
            raise Refused("The ten minutes are over, and its cards went to the next.", code="state")
        if barred := barred_from(owner_id=row.owner_id, node_id=str(row.node_id)):
            raise Refused(f"What is held for it cannot serve now, so it waits on at its place. {barred}", code="state")
        return lab_begin(lab=row, node_id=str(row.node_id), words="Taken.", now=now, actor=actor)


def images_withdrawn_settle(*, now: datetime) -> int:
    """End what waits or is offered and whose image its owner may not use any more; how many ended. What is placed is looked at where it starts."""
    unstarted = Lab.objects.filter(state__in=(states.QUEUED, states.OFFERED), target=Lab.Target.RUNNING, image__in=images_restricted().values("pk"))
    by_image: dict[int, list[Lab]] = {}
    for lab in unstarted.select_related("owner", "image"):
        by_image.setdefault(lab.image_id, []).append(lab)
    without = {image_id: set(outsiders(image=labs[0].image, people={lab.owner for lab in labs})) for image_id, labs in by_image.items()}
    lost = [lab for image_id, labs in by_image.items() for lab in labs if lab.owner in without[image_id]]
    return sum(lab_end(lab_id=lab.pk, code="image_withdrawn", now=now) for lab in lost)


def offers_lapse(*, now: datetime) -> int:
    """End what was not taken in time or is held for a disabled person; let wait on what is held where it cannot be served now. How many moved."""
    left = Lab.objects.filter(state=states.OFFERED, owner__is_active=False).values_list("pk", flat=True)
    ended = sum(lab_end(lab_id=lab_id, code="person_disabled", now=now) for lab_id in left)
    late = Lab.objects.filter(state=states.OFFERED, deadline_at__lte=now).values_list("pk", flat=True)
    ended += sum(_pass_on(lab_id, now) for lab_id in late)
    broken = ~Q(node__state=Node.State.READY) | Q(leases__closed_at=None) & Q(leases__gpu__isnull=False) & ~Q(leases__gpu__health=Gpu.Health.OK)
    lost = set(Lab.objects.filter(broken, state=states.OFFERED).values_list("pk", flat=True))
    offered = Lab.objects.filter(state=states.OFFERED).values_list("pk", "owner_id", "node_id")
    lost |= {lab_id for lab_id, owner_id, node_id in offered if barred_from(owner_id=owner_id, node_id=str(node_id))}
    return ended + sum(_back(lab_id, now) for lab_id in sorted(lost))


def _pass_on(lab_id: str, now: datetime) -> bool:
    """Not taken: the lab leaves the queue. Waiting on, it would hold the same cards idle again and again."""
    code = "not_claimed"
    end: dict[str, Any] = {"target": Lab.Target.STOPPED, "reason_code": code, "reason": states.ENDS[code].words}
    return lab_advance(lab_id=lab_id, was=states.OFFERED, to=states.final_state(code), now=now, **end)


def _back(lab_id: str, now: datetime) -> bool:
    """The room that was held is gone: wait on, at the same place as before."""
    with transaction.atomic():
        words = "What was held for it cannot serve now; it waits on at its place."
        moved = lab_advance(lab_id=lab_id, was=states.OFFERED, to=states.QUEUED, now=now, words=words, node_id=None)
        if moved:
            Lease.objects.filter(lab_id=lab_id, closed_at=None).update(closed_at=now)
            ring("worker.schedule")
    return moved
