"""The small forms of waiting."""

from django import forms


class LeverForm(forms.Form):
    """One change that starts a waiting lab sooner, by its code."""

    code = forms.CharField(label="Change", max_length=120)


class AskFirstForm(forms.Form):
    """Be asked when the turn comes, or start by itself."""

    ask_first = forms.BooleanField(required=False)


class MoveForm(forms.Form):
    """Where an administrator puts a waiting lab, and why."""

    to = forms.ChoiceField(label="Where", choices=[("first", "To the front"), ("last", "To the end")])
    reason = forms.CharField(label="Reason", max_length=200, error_messages={"required": "write why: its owner and the audit log are told."})
