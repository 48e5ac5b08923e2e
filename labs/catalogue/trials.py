"""Writing down that an image is tried on a card, and what came of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from labs.catalogue.models import Image, Qualification
from labs.ledger.services import event_record
from labs.people.errors import Refused
from labs.people.models import User


def qualification_ask(*, image: Image, card: str, actor: User, now: datetime) -> Qualification:
    """It is being tried from now on. Refused while it is tried on such a card already, and before any node holds it."""
    if not image.digest:
        raise Refused("No node holds it yet: prepare it first.")
    try:
        with transaction.atomic():
            _tidy(image, card)
            return Qualification.objects.create(image=image, digest=image.digest, card=card, asked_by=actor, asked_at=now)
    except IntegrityError as error:
        raise Refused(f"{image} is being tried on {card} already.") from error


def _tidy(image: Image, card: str) -> None:
    """Forget what does not count any more: only the last result of each driver does."""
    ended = image.qualifications.filter(card=card).exclude(state=Qualification.State.ASKED).order_by("-pk")
    count: dict[str, int] = {}
    for row in ended:
        if row.state != Qualification.State.VOID:
            count.setdefault(row.driver, row.pk)
    ended.exclude(pk__in=count.values()).delete()


def qualification_in(*, row: Qualification, lab_id: str) -> None:
    """The lab in which it is tried."""
    Qualification.objects.filter(pk=row.pk).update(lab=lab_id)


def qualification_on(*, row: Qualification, node: str) -> None:
    """The node that has it to do."""
    Qualification.objects.filter(pk=row.pk).exclude(node=node).update(node=node)


def qualification_end(*, row: Qualification, passed: bool, words: str, report: Mapping[str, Any], driver: str, now: datetime) -> bool:
    """What came of it; True for the one who wrote it."""
    state = Qualification.State.PASSED if passed else Qualification.State.FAILED
    with transaction.atomic():
        facts = {"state": state, "words": words[:2000], "report": dict(report), "driver": driver, "ended_at": now}
        if not _open(row).update(**facts):
            return False
        _event(row, f"Image {row.image} on {row.card}: {state.label.lower()}. {words}".strip(), now)
    return True


def qualification_void(*, row: Qualification, words: str, now: datetime) -> bool:
    """It came to no end: nothing is known by it."""
    with transaction.atomic():
        if not _open(row).update(state=Qualification.State.VOID, words=words[:2000], ended_at=now):
            return False
        _event(row, f"Trying image {row.image} on {row.card} came to no end. {words}".strip(), now)
    return True


def _open(row: Qualification) -> Any:
    return Qualification.objects.filter(pk=row.pk, state=Qualification.State.ASKED)


def _event(row: Qualification, words: str, now: datetime) -> None:
    event_record(kind="image.tried", subject=f"image:{row.image_id}", words=words, actor=None, now=now)
