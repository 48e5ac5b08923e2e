"""Forms about images that people make themselves."""

from typing import Any

from django import forms
from django.db.models import QuerySet

from labs.catalogue.models import Image
from labs.fleet.models import Node
from labs.making.queries import teams_of
from labs.making.rules import MOST_TEXT
from labs.making.services import NOTE_MOST
from labs.people.models import Group, User


class NamedForm(forms.Form):
    """What an image of one's own is called."""

    name = forms.CharField(label="Name", max_length=60, widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "Detector 2"}))
    note = forms.CharField(label="Note", max_length=NOTE_MOST, required=False, help_text="What it is for; shown to whom you share it with.")


class BuildForm(NamedForm):
    """A list of packages, on an image of the catalogue."""

    base = forms.ModelChoiceField(Image.objects.none(), label="On the image", empty_label=None)
    requirements = forms.CharField(
        label="requirements.txt",
        max_length=MOST_TEXT,
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false", "placeholder": "timm==1.0.22\nalbumentations>=2"}),
        help_text="One package a line, as pip takes it.",
    )
    environment = forms.CharField(
        label="or environment.yml",
        max_length=MOST_TEXT,
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false", "placeholder": "dependencies:\n  - pip:\n    - timm==1.0.22"}),
        help_text="What stands below pip: is taken. Conda is not in the images.",
    )

    def __init__(self, *args: Any, images: QuerySet[Image], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["base"].queryset = images  # type: ignore[attr-defined]


class TeamsForm(forms.Form):
    """Who else may start labs from it."""

    groups = forms.ModelMultipleChoiceField(Group.objects.none(), label="Share with", required=False, widget=forms.CheckboxSelectMultiple)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["groups"].queryset = teams_of(user=user)  # type: ignore[attr-defined]


class DockerfileForm(forms.Form):
    """A Dockerfile, and the node that builds it."""

    name = forms.CharField(label="Title", max_length=60)
    node = forms.ModelChoiceField(Node.objects.filter(runtime=Image.Runtime.DOCKER), label="Built on", empty_label=None)
    text = forms.CharField(
        label="Dockerfile",
        max_length=MOST_TEXT,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false", "placeholder": "FROM gpulab/pytorch-cuda:2.9.1-cuda12.8"}),
    )
