"""Forms about quotas: asking for more, the answer, caps of whole groups, windows of wider limits."""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from labs.people.models import Group, Role
from labs.policy.asking import ASKABLE, GRANTABLE
from labs.policy.models import LimitWindow
from labs.policy.rules import CAP_NAMES, Caps, Limits
from portal.pages.forms.manage import LIMIT_WORDS, MOST

CAP_WORDS = {"guarantee": "GPUs guaranteed", "weight": "Weight"} | {name: LIMIT_WORDS[name] for name in CAP_NAMES} | {"gpus": "GPUs at most"}
DAYS = (("0", "Mon"), ("1", "Tue"), ("2", "Wed"), ("3", "Thu"), ("4", "Fri"), ("5", "Sat"), ("6", "Sun"))


def _date(label: str, help_text: str = "") -> forms.DateField:
    return forms.DateField(label=label, help_text=help_text, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))


def end_of(day: Any) -> datetime:
    """The last minute of a day in the house's time zone."""
    return datetime.combine(day, time(23, 59), timezone.get_default_timezone())


class MoreForm(forms.Form):
    """Numbers above the present limits, each with what it is now."""

    words: Mapping[str, str] = ASKABLE
    until = _date("Until", "It ends by itself after that day.")

    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        numbers = {}
        for name, words in self.words.items():
            has = getattr(limits, name)
            if has is not None:
                label = words[0].upper() + words[1:]
                numbers[name] = forms.IntegerField(label=label, help_text=f"Now {has}.", min_value=0, max_value=MOST, required=False)
        self.fields = numbers | self.fields  # type: ignore[assignment]
        self.numbers = [self[name] for name in numbers]
        self.others = [self[name] for name in self.fields if name not in numbers]

    @property
    def values(self) -> dict[str, int | None]:
        """The numbers alone."""
        return {name: self.cleaned_data.get(name) for name in self.words}


class AskForm(MoreForm):
    """What a person asks for."""

    why = forms.CharField(
        label="What is it for?", max_length=500, widget=forms.Textarea(attrs={"rows": 3}), help_text="A sentence or two: whoever decides reads it."
    )


class AnswerForm(MoreForm):
    """What whoever decides grants, or why not."""

    words = GRANTABLE
    answer = forms.CharField(label="Answer", max_length=300, required=False, widget=forms.Textarea(attrs={"rows": 2}), help_text="Needed to decline.")


class GroupCapsForm(forms.Form):
    """What a whole group may have. An empty field is no cap."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, label in CAP_WORDS.items():
            self.fields[name] = forms.IntegerField(label=label, min_value=1 if name == "weight" else 0, max_value=MOST, required=name == "weight")

    @property
    def values(self) -> dict[str, int | None]:
        """Guarantee, weight and caps."""
        return {name: self.cleaned_data[name] for name in CAP_WORDS}

    @property
    def caps(self) -> Caps:
        """The caps alone."""
        return Caps(**{name: self.cleaned_data[name] for name in CAP_NAMES})


class GroupChoiceForm(forms.Form):
    """A group that has no caps yet."""

    group = forms.ModelChoiceField(Group.objects.filter(limits__isnull=True), label="Group", empty_label=None)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, auto_id="capped_%s", **kwargs)


class WindowForm(forms.Form):
    """Hours of the week, or a quiet house, in which a limit is wider."""

    name = forms.CharField(label="Name", max_length=60, help_text="What people read, such as nights and weekends.")
    limit = forms.ChoiceField(label="Limit", choices=LimitWindow.Limit.choices)
    times = forms.DecimalField(label="Times", min_value=1, max_value=50, decimal_places=2, initial=2, widget=forms.NumberInput(attrs={"step": "0.25"}))
    plus = forms.IntegerField(label="Plus", min_value=0, max_value=10_000, initial=0)
    start = forms.TimeField(label="From", initial="20:00", widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"))
    end = forms.TimeField(
        label="To", initial="07:00", widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"), help_text="The same as From: the whole day round."
    )
    below = forms.IntegerField(label="Only while GPUs in use are below, %", min_value=1, max_value=100, required=False)
    role = forms.ChoiceField(label="For", choices=[("", "Everybody"), *Role.choices], required=False)
    group = forms.ModelChoiceField(Group.objects.all(), label="or for a group", required=False, empty_label="–")
    days = forms.MultipleChoiceField(
        label="Days", choices=DAYS, initial=[day for day, _ in DAYS], widget=forms.CheckboxSelectMultiple, help_text="Of a night: the day on which it begins."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, auto_id="window_%s", **kwargs)

    @property
    def values(self) -> Mapping[str, Any]:
        """As the record takes them."""
        return self.cleaned_data | {"days": "".join(sorted(self.cleaned_data["days"]))}


def usual_until() -> Any:
    """Two weeks from today: what most need, and easy to change."""
    return timezone.localdate() + timedelta(days=14)
