"""The form by which a data set is registered."""

from django import forms

from labs.datasets.models import DataSet
from labs.people.models import Group


class DataForm(forms.Form):
    """One version of a data set."""

    title = forms.CharField(label="Title", max_length=100)
    name = forms.CharField(label="Name", max_length=40, help_text="Labs see it as /data/NAME. Small letters, digits and hyphens.")
    version = forms.CharField(label="Version", max_length=20, help_text="Files that changed are a new version; labs see each as /data/NAME@VERSION.")
    backend = forms.ChoiceField(label="Where it lies", choices=DataSet.Backend.choices)
    source = forms.CharField(
        label="Place", max_length=255, help_text="/srv/data/flowers · flowers · files.example.edu:/export/flowers · remote:bucket/flowers. No passwords."
    )
    licence = forms.CharField(label="Licence", max_length=100, help_text="What people may do with it, such as CC BY 4.0.")
    answers_for = forms.CharField(label="Who answers for it", max_length=100)
    about = forms.CharField(label="About it", required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3}))
    encrypted_only = forms.BooleanField(
        label="Only on nodes whose workspaces lie encrypted", required=False, help_text="No other node copies it, and no lab there sees it."
    )
    groups = forms.ModelMultipleChoiceField(
        Group.objects.all(), label="Who may use it", required=False, help_text="Nobody chosen: everybody.", widget=forms.CheckboxSelectMultiple
    )
