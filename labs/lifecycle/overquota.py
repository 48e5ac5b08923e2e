"""Which labs run over quota: judged again whenever something ends or a limit changes. Over quota is a mark, never an end."""

from datetime import datetime

from django.db import transaction

from labs.ledger.services import event_record
from labs.lifecycle import states
from labs.lifecycle.allowances import limits_now
from labs.lifecycle.guarantees import Holding, beyond_guarantee
from labs.lifecycle.models import Lab, Lease
from labs.lifecycle.moves import lab_announce

INSIDE = "Runs inside its owner's guarantee now: its cards are not taken back."
OVER = "Runs over quota now: its cards are beyond its owner's guarantee and may be taken back, with a notice five minutes before."


def over_quota_settle(*, now: datetime) -> int:
    """Mark the labs that are beyond their owner's guarantee, and unmark those that no longer are; how many changed."""
    labs = Lab.objects.select_related("owner").filter(state__in=states.HOLDING, leases__closed_at=None, leases__isnull=False, meeting=None)
    rows = {lab.pk: lab for lab in labs.distinct()}
    shares: dict[str, float] = {}
    for lab_id, share in Lease.objects.filter(lab__in=rows, closed_at=None).values_list("lab_id", "gpu__share"):
        shares[lab_id] = shares.get(lab_id, 0.0) + share
    owners = {lab.owner_id: lab.owner for lab in rows.values()}
    holdings: dict[int, list[Holding]] = {}
    for lab in rows.values():
        holdings.setdefault(lab.owner_id, []).append(Holding(lab.pk, shares.get(lab.pk, 0.0), lab.started_at or lab.state_since, lab.over_quota))
    limits = limits_now(users=owners.values(), now=now)
    over = {lab_id for owner_id, mine in holdings.items() for lab_id in beyond_guarantee(mine, limits[owner_id].gpus)}
    changed = [lab for lab in rows.values() if lab.over_quota != (lab.pk in over)]
    return sum(_mark(lab, over=lab.pk in over, now=now) for lab in changed)


def _mark(lab: Lab, *, over: bool, now: datetime) -> bool:
    with transaction.atomic():
        if not Lab.objects.filter(pk=lab.pk, state__in=states.HOLDING, over_quota=not over).update(over_quota=over):
            return False
        event_record(kind="lab.over_quota", subject=lab.subject, words=OVER if over else INSIDE, actor=None, now=now, over=over)
        lab_announce(lab=lab)
    return True
