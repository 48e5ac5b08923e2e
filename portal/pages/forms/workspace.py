"""Where a workspace is to go."""

from collections.abc import Iterable

from django import forms

from labs.fleet.models import Node
from labs.lifecycle.models import Lab


class MoveForm(forms.Form):
    """One of the nodes that take it; labs that are in the way may be stopped."""

    destination = forms.ChoiceField(label="Move it to")
    stop_labs = forms.BooleanField(required=False)

    def __init__(self, *args: object, destinations: Iterable[Node], busy: Iterable[Lab], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["destination"].choices = [(node.pk, node.name) for node in destinations]  # type: ignore[attr-defined]
        names = ", ".join(lab.name for lab in busy)
        if names:
            self.fields["stop_labs"].label = f"Stop {names} first: what is only in memory there is lost"
        else:
            del self.fields["stop_labs"]


class EmptyForm(forms.Form):
    """To which node all workspaces of another go."""

    destination = forms.ChoiceField(label="They go to")

    def __init__(self, *args: object, destinations: Iterable[Node], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["destination"].choices = [(node.pk, node.name) for node in destinations]  # type: ignore[attr-defined]
