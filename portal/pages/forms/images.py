"""Forms about images: looking for one, and who may use it."""

import json
from typing import Any

from django import forms

from labs.catalogue.models import Image
from labs.people.models import Group, Role

#: A scanner's report of a large image is some MB.
MOST_REPORT = 32 * 1024 * 1024


class FindForm(forms.Form):
    """Another PyTorch or CUDA than those on offer."""

    torch = forms.RegexField(r"^\d+(\.\d+){0,2}\Z", label="PyTorch", max_length=12, widget=forms.TextInput(attrs={"placeholder": "2.9"}))
    cuda = forms.RegexField(r"^\d+\.\d+\Z", label="CUDA", max_length=8, required=False, widget=forms.TextInput(attrs={"placeholder": "12.8"}))


class RulesForm(forms.Form):
    """Who may use an image, until when, where it is kept."""

    roles = forms.MultipleChoiceField(label="Roles", choices=Role.choices, required=False, widget=forms.CheckboxSelectMultiple)
    groups = forms.ModelMultipleChoiceField(
        Group.objects.all(),
        label="Groups",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="With those below them. Neither roles nor groups: everybody.",
    )
    deprecated_on = forms.DateField(
        label="Offered until",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="From that day on no new lab starts from it; running ones go on.",
    )
    keeping = forms.ChoiceField(label="Kept", choices=Image.Keeping.choices)


class ScanForm(forms.Form):
    """What a scanner found, as a file."""

    report = forms.FileField(label="Report", help_text="JSON of Trivy (trivy image --format json) or Grype (grype -o json).")

    def clean_report(self) -> Any:
        """The report itself."""
        file = self.cleaned_data["report"]
        if file.size > MOST_REPORT:
            raise forms.ValidationError("A report has at most 32 MB.")
        try:
            return json.load(file)
        except ValueError as error:
            raise forms.ValidationError("This file is no JSON.") from error
