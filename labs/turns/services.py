"""Taking turns: a lease with a fencing number. Its clock is the database's, since the machines that compete have others.

A process that is paused in its turn and wakes when another has taken over believes that it still has it. So whoever
writes in a turn asks `turn_holds` in the transaction of the write: the number is an old one then, and nothing is written.
"""

from datetime import timedelta

from django.db import transaction
from django.db.models import DateTimeField, ExpressionWrapper, F
from django.db.models.functions import Now

from labs.turns.models import Turn

#: A holder renews its turn with every tick; one that is silent for so long has lost it.
LASTS_S = 15.0


def turn_take(*, name: str, holder: str, lasts_s: float = LASTS_S) -> int | None:
    """Take or renew the turn; its fencing number, or None while somebody else has it."""
    until = ExpressionWrapper(Now() + timedelta(seconds=lasts_s), output_field=DateTimeField())
    with transaction.atomic():
        _, made = Turn.objects.get_or_create(pk=name, defaults={"holder": holder, "fence": 1, "until": Now()})
        if made or not Turn.objects.filter(pk=name, holder=holder, until__gt=Now()).update(until=until):
            free = Turn.objects.filter(pk=name, until__lte=Now())
            if not free.update(holder=holder, fence=F("fence") + 1, until=until):
                return None
        return Turn.objects.values_list("fence", flat=True).get(pk=name)


def turn_give(*, name: str, holder: str) -> bool:
    """End one's turn before its time, so that another need not wait; False when one has it no more."""
    return bool(Turn.objects.filter(pk=name, holder=holder, until__gt=Now()).update(until=Now()))


def turns_end(*, of: str, but: str) -> int:
    """End all turns of holders whose names begin with `of`, except `but`; how many. For a machine whose process was started anew."""
    return Turn.objects.filter(holder__startswith=of, until__gt=Now()).exclude(holder=but).update(until=Now())


def turn_holds(*, name: str, fence: int) -> bool:
    """Is `fence` still the turn's number? Call it in the transaction that writes: nobody takes over before that has ended."""
    return Turn.objects.select_for_update().filter(pk=name, fence=fence).exists()


def turn_seize(*, name: str, holder: str, lasts_s: float) -> None:
    """Take the turn from whoever has it: their fencing number is an old one from the end of this transaction on."""
    until = ExpressionWrapper(Now() + timedelta(seconds=lasts_s), output_field=DateTimeField())
    Turn.objects.get_or_create(pk=name, defaults={"holder": holder, "fence": 0, "until": Now()})
    Turn.objects.filter(pk=name).update(holder=holder, fence=F("fence") + 1, until=until)
