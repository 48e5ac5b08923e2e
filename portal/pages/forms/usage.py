"""Whose figures, of how many days, by day or week."""

from typing import Any

from django import forms

DAYS = ((7, "Last 7 days"), (30, "Last 30 days"), (90, "Last 90 days"), (365, "Last 12 months"))
BY = (("day", "By day"), ("week", "By week"))


class UsageForm(forms.Form):
    """What the page shows; everything has a default."""

    of = forms.ChoiceField(label="Of whom", required=False)
    days = forms.TypedChoiceField(label="When", choices=DAYS, coerce=int, required=False, empty_value=30)
    by = forms.ChoiceField(label="Rows", choices=BY, required=False)

    def __init__(self, *args: Any, scopes: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["of"].choices = scopes  # type: ignore[attr-defined]
