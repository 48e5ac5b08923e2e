"""What is set aside ahead of time: cards for classes and events, nodes for maintenance."""

from datetime import date, datetime, timedelta

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q

from labs.catalogue.models import Image
from labs.fleet.models import Node
from labs.people.models import Group
from labs.timetable.rules import OPEN_BEFORE, Hours


def _count(**options: object) -> "models.PositiveIntegerField[int, int]":
    return models.PositiveIntegerField(validators=[MinValueValidator(1)], **options)  # type: ignore[arg-type]


class Reservation(models.Model):
    """A class or an event: weekly hours, cards, people, and the lab that each of them gets. Hours are in the house's time zone."""

    class Unit(models.TextChoices):
        CARD = "card", "GPUs"
        SLICE = "slice", "MIG slices"

    class Start(models.TextChoices):
        PREPARED = "prepared", "A lab is started for everybody shortly before"
        OWN = "own", "Everybody starts a lab with one click"

    title = models.CharField(max_length=60)
    group = models.ForeignKey(Group, null=True, on_delete=models.PROTECT, related_name="reservations")
    people = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="reservations", help_text="Named, beside the group's members.")
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="reservations")
    start = models.CharField(max_length=10, choices=Start.choices)

    unit = models.CharField(max_length=10, choices=Unit.choices, default=Unit.CARD)
    cards = _count()
    gpu_model = models.CharField(max_length=96, blank=True)
    node = models.ForeignKey(Node, null=True, on_delete=models.PROTECT, related_name="reservations")
    gpus = _count(help_text="Cards or slices of each lab.")
    cpus = _count()
    memory_gib = _count()
    give_back_min = _count(help_text="Cards that nobody has used for so long go back to the queue.")

    weekdays = models.JSONField(help_text="Days of the week on which it meets; Monday is 0.")
    from_time = models.TimeField()
    to_time = models.TimeField()
    first_day = models.DateField()
    last_day = models.DateField()
    without = models.JSONField(default=list, help_text="Spells of days that are left out: [first, last] each.")

    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    cancelled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["first_day", "from_time", "pk"]
        constraints = [
            models.CheckConstraint(condition=Q(last_day__gte=F("first_day")), name="reservation_ends_after_it_begins"),
            models.CheckConstraint(condition=Q(cards__gte=F("gpus")), name="reservation_holds_a_lab"),
            models.CheckConstraint(condition=Q(unit="card") | Q(gpus=1), name="reservation_one_slice_a_lab"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def subject(self) -> str:
        """How the ledger names it."""
        return f"reservation:{self.pk}"

    @property
    def hours(self) -> Hours:
        """Its weekly hours as the rules take them."""
        spells = tuple((date.fromisoformat(first), date.fromisoformat(last)) for first, last in self.without)
        return Hours(tuple(self.weekdays), self.from_time, self.to_time, self.first_day, self.last_day, spells)

    @property
    def is_slice(self) -> bool:
        """Slices instead of whole cards."""
        return self.unit == self.Unit.SLICE


class Meeting(models.Model):
    """One time that a reservation happens. `day` is the one that its weekly hours gave it, also after it was moved."""

    reservation = models.ForeignKey(Reservation, on_delete=models.PROTECT, related_name="meetings")
    day = models.DateField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    cards = models.PositiveIntegerField(help_text="Set aside still: what nobody used was given back.")
    by_hand = models.BooleanField(default=False, help_text="Changed by itself: a change of the series leaves it as it is.")
    prepared_at = models.DateTimeField(null=True, help_text="Images were asked for, and its people told.")
    released_at = models.DateTimeField(null=True, help_text="Ended early, all cards given back.")
    cancelled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["starts_at", "pk"]
        indexes = [models.Index(fields=["ends_at", "starts_at"], name="meeting_when")]
        constraints = [
            models.UniqueConstraint(fields=["reservation", "day"], name="meeting_once_a_day"),
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="meeting_ends_after_it_begins"),
        ]

    def __str__(self) -> str:
        return self.reservation.title

    @property
    def hold_id(self) -> str:
        """How the scheduler names what is set aside for it."""
        return hold_id(self.pk)

    @property
    def opens_at(self) -> datetime:
        """From then on its cards are kept and its labs may start."""
        return self.starts_at - OPEN_BEFORE

    def is_open(self, now: datetime) -> bool:
        """May its people start labs on its cards?"""
        return self.stands and self.opens_at <= now < self.ends_at

    @property
    def stands(self) -> bool:
        """Neither cancelled nor ended early."""
        return self.cancelled_at is None and self.released_at is None

    @property
    def last_moment(self) -> datetime:
        """When it ended or will end."""
        return self.released_at or self.ends_at

    @property
    def length(self) -> timedelta:
        """From beginning to end."""
        return self.ends_at - self.starts_at


def hold_id(meeting_id: int | None) -> str:
    """The scheduler's name for a meeting's cards; empty for none."""
    return "" if meeting_id is None else f"meeting:{meeting_id}"


class Maintenance(models.Model):
    """A node that nobody may use for a while."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="maintenance")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    words = models.CharField(max_length=200)
    ends_labs = models.BooleanField(default=False, help_text="Labs that still run there when it begins are stopped.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    cancelled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["starts_at", "pk"]
        indexes = [models.Index(fields=["ends_at", "starts_at"], name="maintenance_when")]
        constraints = [models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="maintenance_ends_after_it_begins")]

    def __str__(self) -> str:
        return f"{self.node}: {self.words}"

    @property
    def subject(self) -> str:
        """How the ledger names it."""
        return f"maintenance:{self.pk}"
