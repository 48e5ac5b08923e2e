"""Trying an image on a card: a lab of its own, in which a program of the house finds out."""

from datetime import datetime

from django.db import transaction

from labs.catalogue.models import Image, Qualification
from labs.catalogue.trials import qualification_ask, qualification_in
from labs.lifecycle.services import lab_request
from labs.lifecycle.wishes import Wish
from labs.people.errors import Refused
from labs.people.models import User
from labs.trials.queries import cards_to_try

#: What the lab asks for: what a person of a class has.
CPUS, MEMORY_GIB, HOURS = 2, 4, 1


def qualification_begin(*, image: Image, card: str, actor: User, now: datetime) -> Qualification:
    """Try the image on a card of that model, or on the CPU: it waits its turn as any lab does. Refused in words when it cannot be."""
    if card not in cards_to_try():
        raise Refused("There is no such card here that computes.", field="card")
    if image.runtime != Image.Runtime.DOCKER:
        raise Refused("Environments of this machine are not tried out: their labs have no limits of their own.")
    gpus, model = (0, "") if card == Qualification.CPU else (1, card)
    with transaction.atomic():
        row = qualification_ask(image=image, card=card, actor=actor, now=now)
        wish = Wish(image_id=image.pk, gpus=gpus, gpu_model=model, cpus=CPUS, memory_gib=MEMORY_GIB, hours=HOURS, requeue=False)
        lab = lab_request(owner=actor, wish=wish, now=now, actor=actor)
        qualification_in(row=row, lab_id=lab.pk)
    return row
