"""Forms of the calendar. Times are the house's; what may be is judged by the rules, not here."""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from django import forms
from django.db.models import QuerySet

from labs.catalogue.models import Image
from labs.fleet.models import Node
from labs.people.models import Group, User
from labs.timetable.models import Meeting, Reservation
from labs.timetable.rules import Hours
from labs.timetable.wishes import ClassWish

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MOST = 30_000
#: `2026-12-24 – 2027-01-06` or a single day.
SPELL = re.compile(r"^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:\s*(?:–|-|to|until)\s*([0-9]{4}-[0-9]{2}-[0-9]{2}))?$")


def _whole(label: str, help_text: str = "") -> forms.IntegerField:
    return forms.IntegerField(label=label, min_value=1, max_value=MOST, help_text=help_text)


def _day(label: str) -> forms.DateField:
    return forms.DateField(label=label, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))


def _clock(label: str) -> forms.TimeField:
    return forms.TimeField(label=label, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"))


def _moment(label: str) -> forms.DateTimeField:
    return forms.DateTimeField(label=label, widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"))


class ReservationForm(forms.Form):
    """A class or an event."""

    title = forms.CharField(label="Name", max_length=60, help_text="As people know it, such as Vision 101. Labs of the class are called after it.")
    group = forms.ModelChoiceField(Group.objects.none(), label="Course or team", required=False, empty_label="– (only the people named below)")
    people = forms.CharField(label="Other people", required=False, max_length=4000, help_text="E-mail addresses with commas between them.")
    weekdays = forms.TypedMultipleChoiceField(label="Days", coerce=int, choices=list(enumerate(WEEKDAYS)), widget=forms.CheckboxSelectMultiple)
    from_time, to_time = _clock("From"), _clock("To")
    first_day, last_day = _day("First day"), _day("Last day")
    without = forms.CharField(label="Left out", required=False, max_length=400, help_text="Days without it, such as 2026-12-24 – 2027-01-06, 2027-02-15.")
    image = forms.ModelChoiceField(Image.objects.none(), label="Image", empty_label=None)
    start = forms.ChoiceField(label="Labs", choices=Reservation.Start.choices, widget=forms.RadioSelect)
    cards = _whole("GPUs together", "Set aside for the whole class.")
    unit = forms.ChoiceField(label="Kind", choices=Reservation.Unit.choices)
    gpu_model = forms.ChoiceField(label="Model", required=False)
    node = forms.ModelChoiceField(Node.objects.order_by("name"), label="Node", required=False, empty_label="Any node")
    gpus = _whole("GPUs a lab")
    cpus = _whole("CPU cores a lab")
    memory_gib = _whole("Memory a lab, GiB")
    give_back_min = _whole("Give back after, minutes", "A GPU that nobody has used for so long goes to the queue.")

    def __init__(
        self, *args: Any, groups: QuerySet[Group], images: QuerySet[Image], models: list[str], may_go_without: bool, slices: bool, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.fields["group"].queryset = groups  # type: ignore[attr-defined]
        self.fields["group"].required = not may_go_without
        self.fields["image"].queryset = images  # type: ignore[attr-defined]
        self.fields["gpu_model"].choices = [("", "Any model"), *((model, model) for model in models)]  # type: ignore[attr-defined]
        if not slices:
            self.fields["unit"] = forms.CharField(widget=forms.HiddenInput, initial=Reservation.Unit.CARD, required=False)

    def clean_unit(self) -> str:
        """Whole GPUs where nothing else can be chosen."""
        return self.cleaned_data["unit"] or Reservation.Unit.CARD

    def clean_people(self) -> tuple[User, ...]:
        """Everybody who was named; an address that nobody has is told."""
        addresses = {word.lower() for word in re.split(r"[\s,;]+", self.cleaned_data["people"]) if word}
        found = {user.email.lower(): user for user in User.objects.filter(email__in=addresses)}
        if missing := sorted(addresses - set(found)):
            raise forms.ValidationError(f"Nobody here has the address {', '.join(missing)}.")
        return tuple(found[address] for address in sorted(found))

    def clean_without(self) -> tuple[tuple[date, date], ...]:
        """Spells of days."""
        return tuple(_spell(word.strip()) for word in re.split(r"[,;\n]", self.cleaned_data["without"]) if word.strip())

    @property
    def wish(self) -> ClassWish:
        """The wish of a valid form."""
        data = self.cleaned_data
        names = ("title", "group", "people", "image", "start", "unit", "cards", "gpu_model", "node", "gpus", "cpus", "memory_gib", "give_back_min")
        hours = Hours(tuple(data["weekdays"]), data["from_time"], data["to_time"], data["first_day"], data["last_day"], data["without"])
        return ClassWish(hours=hours, **{name: data[name] for name in names})


def _spell(words: str) -> tuple[date, date]:
    found = SPELL.match(words)
    if not found:
        raise forms.ValidationError(f"Write days as 2026-12-24 or 2026-12-24 – 2027-01-06; {words!r} is neither.")
    try:
        first, last = date.fromisoformat(found[1]), date.fromisoformat(found[2] or found[1])
    except ValueError as error:
        raise forms.ValidationError(f"{words!r} is no day.") from error
    if last < first:
        raise forms.ValidationError(f"{words!r} ends before it begins.")
    return first, last


def reservation_initial(row: Reservation) -> Mapping[str, Any]:
    """A reservation as its form shows it."""
    names = ("title", "start", "cards", "unit", "gpu_model", "gpus", "cpus", "memory_gib", "give_back_min", "from_time", "to_time", "first_day", "last_day")
    return {name: getattr(row, name) for name in (*names, "weekdays")} | {
        "group": row.group_id,
        "image": row.image_id,
        "node": row.node_id,
        "people": ", ".join(row.people.values_list("email", flat=True)),
        "without": ", ".join(first if first == last else f"{first} – {last}" for first, last in row.without),
    }


def usual_class(*, image: Image | None, group: Group | None, today: date) -> Mapping[str, Any]:
    """What a new reservation begins with: next week's same day, a term long."""
    first = today + timedelta(days=7)
    return {
        "group": group.pk if group else None,
        "image": image.pk if image else None,
        "start": Reservation.Start.PREPARED,
        "unit": Reservation.Unit.CARD,
        "weekdays": [first.weekday()],
        "from_time": "10:00",
        "to_time": "12:00",
        "first_day": first,
        "last_day": first + timedelta(weeks=13),
        "cards": 1,
        "gpus": 1,
        "cpus": 4,
        "memory_gib": 16,
        "give_back_min": 15,
    }


class MeetingForm(forms.Form):
    """One meeting changed by itself."""

    starts_at, ends_at = _moment("From"), _moment("To")
    cards = _whole("Set aside")

    @staticmethod
    def initial_of(meeting: Meeting, zone: Any) -> Mapping[str, Any]:
        """The meeting as its form shows it."""
        return {"starts_at": meeting.starts_at.astimezone(zone), "ends_at": meeting.ends_at.astimezone(zone), "cards": meeting.cards}


class MaintenanceForm(forms.Form):
    """A node that is closed for a while."""

    node = forms.ModelChoiceField(Node.objects.order_by("name"), label="Node", empty_label=None)
    starts_at, ends_at = _moment("From"), _moment("To")
    words = forms.CharField(label="What is done", max_length=200, help_text="People read it: they wait because of it.")
    ends_labs = forms.BooleanField(
        label="Stop labs that still run there when it begins", required=False, help_text="Their owners are told a day ahead, or at once when it is nearer."
    )


class WeekForm(forms.Form):
    """Which week to show."""

    week = forms.DateField(required=False)
