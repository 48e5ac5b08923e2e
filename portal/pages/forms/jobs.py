"""The form of a job."""

import shlex
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.forms.utils import ErrorDict

from labs.catalogue.models import Image
from labs.jobs.rules import DAYS, LONGEST_CRON
from labs.jobs.services import weekly
from labs.lifecycle.jobs import MOST_CHARACTERS, MOST_FOLDER
from labs.lifecycle.wishes import MOST

NOW, WEEKLY, CRON = "now", "schedule", "cron"
#: Choices that are a schedule, and the fields that say which.
CLOCKS = (WEEKLY, CRON)
CLOCK_FIELDS = ("start", "weekdays", "at", "cron")


class JobForm(forms.Form):
    """What runs, on what, and when."""

    command = forms.CharField(
        label="Program",
        max_length=MOST_CHARACTERS,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "placeholder": "python train.py --epochs 10"}),
        help_text="With its arguments, as in a terminal; a text with spaces in quotes. No shell reads it.",
    )
    folder = forms.CharField(
        label="Folder",
        max_length=MOST_FOLDER,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "placeholder": "project"}),
        help_text="Where it begins, below /workspace. Left empty: /workspace itself.",
    )
    image = forms.ModelChoiceField(label="Image", queryset=Image.objects.none(), empty_label=None)
    gpus = forms.IntegerField(label="GPUs", min_value=0, max_value=MOST, initial=0)
    cpus = forms.IntegerField(label="CPU cores", min_value=1, max_value=MOST, initial=4)
    memory_gib = forms.IntegerField(label="Memory, GiB", min_value=1, max_value=MOST, initial=16)
    hours = forms.IntegerField(label="Hours at most", min_value=1, max_value=MOST, initial=4, help_text="It is ended after that.")
    start = forms.ChoiceField(
        label="When",
        choices=[
            (NOW, "Now, once"),
            (WEEKLY, "On days, at a time"),
            (CRON, "More often, monthly … (cron)"),
            ("file", "For each file that arrives in a folder"),
            ("call", "When another program calls"),
        ],
        initial=NOW,
    )
    weekdays = forms.MultipleChoiceField(
        label="Days", choices=list(enumerate(DAYS)), required=False, widget=forms.CheckboxSelectMultiple, help_text="For days of the week."
    )
    at = forms.CharField(label="Time", max_length=5, required=False, widget=forms.TextInput(attrs={"placeholder": "07:30"}), help_text="For days of the week.")
    cron = forms.CharField(
        label="Cron expression",
        max_length=LONGEST_CRON,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "placeholder": "0 */6 * * *"}),
        help_text="Minute, hour, day of the month, month, day of the week. 0 */6 * * * is every six hours, 30 7 1 * * the first of each month at 07:30.",
    )
    watch = forms.CharField(
        label="Folder that is watched",
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "placeholder": "inbox"}),
        help_text="Below /workspace. What lies there already starts nothing; write {file} in the program where the path of the new file belongs.",
    )
    key = forms.CharField(max_length=40, required=False, widget=forms.HiddenInput)
    name = forms.CharField(label="Name", max_length=32, required=False, help_text="Needed for what starts by itself. Small letters, digits and hyphens.")

    def __init__(self, *args: Any, images: QuerySet[Image], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["image"].queryset = images  # type: ignore[attr-defined]

    @property
    def schedule(self) -> str:
        """The expression of what was chosen; empty for what is no schedule, refused in words for days and a time that are none."""
        data = self.cleaned_data
        if data["start"] == WEEKLY:
            return weekly(weekdays=[int(day) for day in data["weekdays"]], at=data["at"])
        return data["cron"] if data["start"] == CRON else ""

    def only_clock(self) -> None:
        """Forget what is wrong elsewhere: somebody only looks when it would run."""
        self._errors = ErrorDict({name: words for name, words in self.errors.items() if name in CLOCK_FIELDS})

    def clean_command(self) -> str:
        """Quotes come in pairs."""
        command: str = self.cleaned_data["command"]
        try:
            shlex.split(command)
        except ValueError as error:
            raise forms.ValidationError("A quote is not closed.") from error
        return command


class AgainForm(forms.Form):
    """A kept job, run once more: the same key is the same click."""

    key = forms.CharField(max_length=40)
