"""The administrators' forms."""

from typing import Any

from django import forms
from django.utils import timezone

from labs.catalogue.models import Image
from labs.people.models import Group, Role, User
from labs.people.queries import groups_tree
from labs.policy.rules import BUDGETS, LIMIT_NAMES

#: What each limit is called on the pages, with its unit.
LIMIT_WORDS = {
    "gpus": "GPUs guaranteed",
    "gpus_max": "GPUs at most",
    "labs": "Labs at once",
    "pending": "Labs waiting",
    "cpus": "CPU cores",
    "memory_gib": "Memory, GiB",
    "shm_gib": "Shm a lab, GiB",
    "pids": "Processes a lab",
    "hours_max": "Hours a lab",
    "gpu_hours_week": "GPU-hours a week",
    "gpu_hours_month": "GPU-hours a month",
    "disk_gib": "Disk, GiB",
    "weight": "Weight",
}
MOST = 1_000_000


def house_time() -> str:
    """Which clock a moment is typed by, said beside its field."""
    return f"By the house's clock: {timezone.get_default_timezone_name()}."


def group_choices(*, empty: str) -> list[tuple[Any, str]]:
    """The tree as indented choices."""
    return [("", empty), *((group.pk, "  " * depth + f"{group} ({group.get_kind_display().lower()})") for depth, group in groups_tree())]


class PersonForm(forms.Form):
    """A new account, or an invitation to make one."""

    email = forms.EmailField(label="E-mail address", widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    display_name = forms.CharField(label="Name", max_length=100, required=False)
    role = forms.ChoiceField(label="Role", choices=Role.choices)
    group = forms.TypedChoiceField(label="Group", required=False, coerce=int, empty_value=None)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["group"].choices = group_choices(empty="No group")  # type: ignore[attr-defined]

    def clean_group(self) -> Group | None:
        """The group itself."""
        pk = self.cleaned_data["group"]
        return Group.objects.get(pk=pk) if pk else None


class PersonEditForm(forms.Form):
    """Name, role and groups of a person."""

    display_name = forms.CharField(label="Name", max_length=100)
    role = forms.ChoiceField(label="Role", choices=Role.choices)
    groups = forms.ModelMultipleChoiceField(
        Group.objects.all(), label="Groups", required=False, help_text="Limits of a group hold for everybody below it.", widget=forms.CheckboxSelectMultiple
    )


class LimitsForm(forms.Form):
    """A row of limits. For a role every field but the GPU-hours has a value; in an exception an empty field changes nothing."""

    def __init__(self, *args: Any, required: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, label in LIMIT_WORDS.items():
            field = forms.IntegerField(label=label, min_value=0, max_value=MOST, required=required and name not in BUDGETS)
            self.fields[name] = field

    @property
    def values(self) -> dict[str, int | None]:
        """The limits alone."""
        return {name: self.cleaned_data[name] for name in LIMIT_NAMES}


class OverrideForm(LimitsForm):
    """An exception for one person or one group."""

    person = forms.ModelChoiceField(User.objects.order_by("display_name"), label="Person", required=False, empty_label="–")
    group = forms.ModelChoiceField(Group.objects.all(), label="or group", required=False, empty_label="–")
    until = forms.DateTimeField(label="Until", required=False, widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"))
    note = forms.CharField(label="Note", max_length=200, required=False, help_text="Why; the audit log keeps it.")

    field_order = ("person", "group", "until", "note")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, required=False, auto_id="exception_%s", **kwargs)
        self.fields["until"].help_text = house_time()

    def clean(self) -> dict[str, Any]:
        """One of person and group, and at least one limit."""
        data: dict[str, Any] = super().clean() or {}
        if bool(data.get("person")) == bool(data.get("group")):
            self.add_error("person", "Choose either a person or a group.")
        if all(data.get(name) is None for name in LIMIT_NAMES):
            self.add_error(None, "Fill in at least one limit.")
        return data


class ImageForm(forms.Form):
    """An image for the catalogue."""

    title = forms.CharField(label="Title", max_length=100, help_text="What people choose by: PyTorch 2.9, CUDA 12.8.")
    slug = forms.SlugField(label="Short name", max_length=80)
    runtime = forms.ChoiceField(label="Kind", choices=Image.Runtime.choices)
    repository = forms.CharField(label="Repository", max_length=200, help_text="Such as pytorch/pytorch.")
    tag = forms.CharField(label="Tag", max_length=128, help_text="Never latest: that is another image tomorrow.")
    digest = forms.RegexField(
        r"^(sha256:[0-9a-f]{64})?\Z", label="Digest", required=False, help_text="sha256:…; without one the first node that prepares it writes it down."
    )
    description = forms.CharField(label="What is in it", max_length=2000, required=False, widget=forms.Textarea(attrs={"rows": 3}))


class GroupForm(forms.Form):
    """A node of the tree."""

    kind = forms.ChoiceField(label="Kind", choices=Group.Kind.choices)
    name = forms.CharField(label="Name", max_length=100)
    slug = forms.SlugField(label="Short name", max_length=60)
    parent = forms.ModelChoiceField(Group.objects.all(), label="Below", required=False, empty_label="– (an organisation)")
    encrypted_only = forms.BooleanField(
        label="Only on nodes whose workspaces lie encrypted", required=False, help_text="Labs of its people, and of groups below it, start nowhere else."
    )


class AuditForm(forms.Form):
    """What to look for in the ledger."""

    text = forms.CharField(label="Words, person or thing", max_length=100, required=False)
    kind = forms.CharField(label="Kind begins with", max_length=60, required=False)
    since = forms.DateField(label="Since", required=False, widget=forms.DateInput(attrs={"type": "date"}))


class LabFilterForm(forms.Form):
    """Which labs to show."""

    text = forms.CharField(label="Name, person or id", max_length=100, required=False)
    live = forms.ChoiceField(label="Which", choices=[("live", "Live"), ("ended", "Ended"), ("all", "All")], required=False, initial="live")
