"""The form of an announcement."""

from typing import Any

from django import forms

from labs.announcements.models import Announcement
from labs.fleet.models import Node
from labs.people.models import Group
from portal.pages.forms.manage import group_choices, house_time


class AnnouncementForm(forms.Form):
    """What people are told, whom, until when, and how besides on the pages."""

    words = forms.CharField(label="What people should know", max_length=400, help_text="Maintenance on Friday from 18:00: save your work and stop your labs.")
    tone = forms.ChoiceField(label="It is", choices=Announcement.Tone.choices)
    until = forms.DateTimeField(label="Shown until", widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"))
    group = forms.TypedChoiceField(label="For", required=False, coerce=int, empty_value=None, help_text="A group with everybody below it.")
    node = forms.ModelChoiceField(Node.objects.order_by("name"), label="or people with labs on", required=False, empty_label="any node")
    by_notice = forms.BooleanField(label="Send it as a message too", required=False)
    to_terminals = forms.BooleanField(label="Write it to the terminals of running labs", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["until"].help_text = house_time()
        self.fields["group"].choices = group_choices(empty="Everybody")  # type: ignore[attr-defined]

    def clean_group(self) -> Group | None:
        """The group itself."""
        pk = self.cleaned_data["group"]
        return Group.objects.get(pk=pk) if pk else None
