"""A wish to reserve: what a teacher asks for, and whether it can be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from labs.catalogue.models import Image
from labs.catalogue.queries import outsiders
from labs.fleet.models import Node
from labs.people.errors import Refused
from labs.people.models import Group, Role, User
from labs.policy.queries import group_fairness
from labs.timetable.holdings import closures_between, demands_between, house_zone, pools
from labs.timetable.models import Reservation
from labs.timetable.rules import MOST_MEETINGS, Clash, Demand, Hours, Occurrence, clash_words, clashes, occurrences

#: What a calendar is for; years beyond are typing errors.
FIRST_YEAR, LAST_YEAR = 2000, 2100
#: Clashes that are told one by one.
MOST_TOLD = 3


@dataclass(frozen=True, slots=True)
class ClassWish:
    """What a class or an event asks for. `cards` are set aside together; each lab gets `gpus` of them."""

    title: str
    group: Group | None
    people: tuple[User, ...]
    image: Image
    start: str
    unit: str
    cards: int
    gpu_model: str
    node: Node | None
    gpus: int
    cpus: int
    memory_gib: int
    give_back_min: int
    hours: Hours

    @property
    def is_slice(self) -> bool:
        """Slices instead of whole cards."""
        return self.unit == Reservation.Unit.SLICE

    def demand(self, at: Occurrence) -> Demand:
        """Its cards at one of its times."""
        return Demand(self.title, at.starts_at, at.ends_at, self.cards, self.is_slice, self.node.pk if self.node else "", self.gpu_model)


def wish_check(*, wish: ClassWish, actor: User) -> None:
    """Refuse what can never be: somebody who may not, too many cards, no people, hours that are none."""
    right_check(actor=actor, group=wish.group)
    if not wish.title.strip():
        raise Refused("Give it a name, such as Vision 101.", field="title")
    if wish.group is None and not wish.people:
        raise Refused("Choose the course, or name the people.", field="group")
    _image_check(wish)
    _size_check(wish, actor)
    _hours_check(wish.hours)


def _image_check(wish: ClassWish) -> None:
    """Everybody of the class can start labs from its image."""
    named = Q(pk__in=[person.pk for person in wish.people])
    people = list(User.objects.filter(named | Q(memberships__group=wish.group) if wish.group else named, is_active=True).order_by("pk").distinct())
    without = outsiders(image=wish.image, people=people)
    if without:
        told = ", ".join(map(str, without[:MOST_TOLD])) + (f" and {len(without) - MOST_TOLD} more" if len(without) > MOST_TOLD else "")
        words = f"{wish.image} is not for everybody of the class: {told} may not use it. Choose another image, or have it opened to them."
        raise Refused(words, field="image", code="image_refused")


def right_check(*, actor: User, group: Group | None) -> None:
    """Administrators reserve for everybody, teachers for the courses and teams that they are in."""
    if actor.is_administrator:
        return
    if not (actor.is_active and actor.role == Role.TEACHER):
        raise Refused("Only teachers and administrators reserve.", code="role")
    if group is None or not actor.memberships.filter(group=group).exists():
        raise Refused("You reserve for the courses and teams that you are in. Choose one of them.", field="group", code="role")


def _size_check(wish: ClassWish, actor: User) -> None:
    if min(wish.cards, wish.gpus, wish.cpus, wish.memory_gib, wish.give_back_min) < 1:
        raise Refused("Sizes are whole numbers of at least 1.", field="cards")
    if wish.is_slice and wish.gpus > 1:
        raise Refused("A lab has one slice.", field="gpus")
    if wish.gpus > wish.cards:
        raise Refused(f"Each lab needs {wish.gpus}, so set aside at least {wish.gpus}.", field="cards")
    most = settings.CLASS_CARDS
    if wish.cards > most and not actor.is_administrator:
        words = f"A teacher may set aside {most} at once; {wish.cards} are {wish.cards - most} more. Ask an administrator to reserve for you."
        raise Refused(words, field="cards", code="over_limit")
    fair = group_fairness().get(wish.group.pk) if wish.group else None
    cap = fair.cap if fair else None
    if cap is not None and wish.cards > cap and not wish.is_slice:
        raise Refused(f"{wish.group} may hold {cap} GPUs together, and {wish.cards} are {wish.cards - cap} more.", field="cards", code="over_limit")
    suited = [count for pool, count in pools().items() if wish.demand(_NEVER).takes(pool)]
    if max(suited, default=0) < wish.gpus:
        raise Refused(f"No node has {wish.gpus} such {wish.unit}{'' if wish.gpus == 1 else 's'} of one model together.", field="gpus", code="impossible")


_NEVER = Occurrence(datetime.min.date(), datetime.min, datetime.min)


def _hours_check(hours: Hours) -> None:
    if not hours.weekdays:
        raise Refused("Choose at least one day of the week.", field="weekdays")
    if not FIRST_YEAR <= hours.first_day.year <= LAST_YEAR:
        raise Refused("That is beyond this calendar.", field="first_day")
    if hours.last_day < hours.first_day:
        raise Refused("The last day is before the first.", field="last_day")
    if hours.last_day - hours.first_day > timedelta(days=MOST_MEETINGS):
        raise Refused("A series lasts a year at most: end it earlier and make another.", field="last_day")
    if hours.from_time == hours.to_time:
        raise Refused("It ends when it begins.", field="to_time")


def wish_times(*, wish: ClassWish, now: datetime) -> list[Occurrence]:
    """Its times that are not over. Refused when none is left."""
    times = [one for one in occurrences(wish.hours, house_zone()) if one.ends_at > now]
    if not times:
        raise Refused("It never happens: no such day of the week lies between the first and the last day, or all of it is past.", field="first_day")
    return times


def times_clash(*, wanted: Sequence[Demand], but: Q | None = None) -> list[Clash]:
    """Where the cards do not suffice beside what is set aside already; `but` are meetings that would be replaced."""
    if not wanted:
        return []
    spell = {"start": min(one.start for one in wanted), "until": max(one.until for one in wanted)}
    return clashes(wanted, demands_between(**spell, but=but), closures_between(**spell), pools())


def clash_refuse(*, found: Sequence[Clash]) -> None:
    """Refuse with every clash in words, the first ones in full."""
    if found:
        raise Refused(" ".join(clashes_told(found=found)), field="cards", code="clash")


def clashes_told(*, found: Sequence[Clash]) -> list[str]:
    """The clashes in words."""
    words = [clash_words(clash, house_zone()) for clash in found[:MOST_TOLD]]
    return words + ([f"And {len(found) - MOST_TOLD} more times."] if len(found) > MOST_TOLD else [])
