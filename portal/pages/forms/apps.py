"""Starting tools in a lab, and sharing its ports."""

from typing import Any

from django import forms

from labs.people.models import Group, User
from labs.sharing.queries import teams_of
from labs.sharing.rules import FOLDER_MOST, SPANS, TOOLS


class AppForm(forms.Form):
    """A tool, and the folder that it is to show."""

    tool = forms.ChoiceField(label="Tool", choices=[(tool.code, tool.title) for tool in TOOLS.values()])
    folder = forms.CharField(label="Folder", max_length=FOLDER_MOST, required=False)


class ShareForm(forms.Form):
    """A port, for whom, and for how long."""

    port = forms.IntegerField(label="Port", min_value=1, max_value=65535)
    name = forms.CharField(label="Name", max_length=60, required=False)
    email = forms.EmailField(label="E-mail address", required=False)
    group = forms.ModelChoiceField(Group.objects.none(), label="Team", required=False)
    hours = forms.TypedChoiceField(label="For", choices=SPANS, coerce=int)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["group"].queryset = Group.objects.filter(pk__in=[team.pk for team in teams_of(user=user)])  # type: ignore[attr-defined]
