"""Forms about one node."""

from datetime import datetime, timedelta

from django import forms

from labs.fleet.models import Node

#: Minutes until the labs on a drained node end.
DRAINS = [(30, "in 30 minutes"), (60, "in an hour"), (240, "in 4 hours"), (1440, "in a day"), (4320, "in 3 days"), (10080, "in a week")]


class DrainForm(forms.Form):
    """Until when its people have, and what they are told."""

    minutes = forms.TypedChoiceField(label="Its labs end", choices=DRAINS, coerce=int, initial=60)
    words = forms.CharField(label="Why", max_length=300, help_text="Everybody with a lab there reads it: a new driver, say.")

    def until(self, now: datetime) -> datetime:
        """The deadline."""
        return now + timedelta(minutes=self.cleaned_data["minutes"])


class JoinForm(forms.Form):
    """A host that is to join."""

    node_id = forms.CharField(
        label="Name of the host",
        max_length=40,
        help_text="Small letters, digits and hyphens, such as gpu-2. People read it where their lab runs.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class GoneForm(forms.Form):
    """The name, typed, so that no slip of a finger ends anybody's lab."""

    name = forms.CharField(label="Type its name", widget=forms.TextInput(attrs={"autocomplete": "off"}))

    def __init__(self, *args: object, node: Node, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.node = node

    def clean_name(self) -> str:
        """The same name."""
        name: str = self.cleaned_data["name"]
        if name.strip() != self.node.name:
            raise forms.ValidationError(f"Type {self.node.name}.")
        return name
