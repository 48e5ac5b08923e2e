"""The form of a webhook."""

from django import forms

from labs.people.models import User
from labs.webhooks.rules import EVENTS

USUAL = ("lab.running", "lab.stopped", "lab.failed")


class HookForm(forms.Form):
    """Which address is told of what."""

    name = forms.CharField(label="Name", max_length=60, help_text="Such as: lab book.")
    url = forms.URLField(label="Address", max_length=500, assume_scheme="https", help_text="It gets a POST with JSON. https, and not inside a private network.")
    events = forms.MultipleChoiceField(
        label="Call it when something happens to a lab", choices=list(EVENTS.items()), initial=USUAL, widget=forms.CheckboxSelectMultiple()
    )
    everyone = forms.BooleanField(label="Everybody's labs, not only mine", required=False)

    def __init__(self, *args: object, user: User, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        if not user.is_administrator:
            del self.fields["everyone"]
