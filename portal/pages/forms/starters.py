"""The forms of a template and of a new version of one."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.db.models import QuerySet

from labs.catalogue.models import Image
from labs.fleet.models import Node
from labs.lifecycle.wishes import MOST
from labs.people.models import Group
from labs.starters.models import Parcel, Version
from labs.starters.rules import MOST_PATH, MOST_URL, Needs
from labs.starters.services import Draft

PLAIN = {"autocomplete": "off", "spellcheck": "false"}


class VersionForm(forms.Form):
    """What a version is made of."""

    url = forms.CharField(
        label="Git repository",
        max_length=MOST_URL,
        widget=forms.TextInput(attrs=PLAIN | {"placeholder": "https://git.example.edu/vision/course.git"}),
        help_text="Each lab fetches it itself, so it must be open to whoever uses the template.",
    )
    commit = forms.CharField(
        label="Commit", max_length=40, widget=forms.TextInput(attrs=PLAIN), help_text="All 40 letters and digits: git rev-parse HEAD prints them."
    )
    first = forms.CharField(
        label="First notebook",
        max_length=MOST_PATH,
        required=False,
        widget=forms.TextInput(attrs=PLAIN | {"placeholder": "lessons/first.ipynb"}),
        help_text="Open leads there. Left empty, it leads to JupyterLab.",
    )
    image = forms.ModelChoiceField(label="Image", queryset=Image.objects.none(), required=False, empty_label="The newest that runs here")
    cuda = forms.CharField(label="CUDA at least", max_length=20, required=False, widget=forms.TextInput(attrs=PLAIN | {"placeholder": "12.8"}))
    gpus = forms.IntegerField(label="GPUs", min_value=0, max_value=MOST, initial=1)
    least_gpus = forms.IntegerField(label="GPUs at least", min_value=0, max_value=MOST, initial=0, help_text="0: it runs without one as well.")
    cpus = forms.IntegerField(label="CPU cores", min_value=1, max_value=MOST, initial=4)
    memory_gib = forms.IntegerField(label="Memory, GiB", min_value=1, max_value=MOST, initial=16)
    hours = forms.IntegerField(label="Hours", min_value=1, max_value=MOST, initial=4)
    data = forms.CharField(
        label="Data sets", max_length=400, required=False, widget=forms.TextInput(attrs=PLAIN), help_text="Their names below /data, with commas between."
    )
    note = forms.CharField(label="What is new", max_length=200, required=False)
    looked = forms.BooleanField(label="I have looked: all of it may be shared", required=False)

    def __init__(self, *args: Any, images: QuerySet[Image], parcel: Parcel | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["image"].queryset = images  # type: ignore[attr-defined]
        self.parcel = parcel
        for name in ("url", "commit") if parcel else ("looked",):
            del self.fields[name]

    @staticmethod
    def initial_of(version: Version) -> dict[str, Any]:
        """The form as that version would fill it; what is new is the next one's to say."""
        names = ("url", "commit", "first", "image", "cuda", "gpus", "least_gpus", "cpus", "memory_gib", "hours")
        return {name: getattr(version, name) for name in names} | {"data": ", ".join(version.data)}

    @property
    def draft(self) -> Draft:
        """The version that a valid form makes."""
        data = self.cleaned_data
        needs = Needs(**{name: data[name] for name in ("gpus", "least_gpus", "cpus", "memory_gib", "hours")})
        sets = tuple(one.strip() for one in data["data"].split(",") if one.strip())
        names = [name for name in ("url", "commit", "first", "image", "cuda", "note", "looked") if name in data]
        return Draft(needs=needs, data=sets, parcel=self.parcel, **{name: data[name] for name in names})


class TemplateForm(VersionForm):
    """A new template with its first version."""

    title = forms.CharField(label="Title", max_length=80, help_text="The folder in the workspace is named after it.")
    summary = forms.CharField(label="What it is for, in a sentence", max_length=300)
    minutes = forms.IntegerField(label="Minutes", min_value=1, max_value=MOST, initial=30, help_text="About how long it takes.")
    group = forms.ModelChoiceField(label="For", queryset=Group.objects.none(), required=False)
    field_order = ("title", "summary", "minutes", "group")

    def __init__(self, *args: Any, groups: Iterable[Group], everybody: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["note"]
        field = self.fields["group"]
        field.queryset = Group.objects.filter(pk__in=[one.pk for one in groups])  # type: ignore[attr-defined]
        field.empty_label = "Everybody" if everybody else "Choose"  # type: ignore[attr-defined]
        field.required = not everybody

    @property
    def draft(self) -> Draft:
        """The first version has nothing new."""
        self.cleaned_data.setdefault("note", "")
        return super().draft


class FolderForm(forms.Form):
    """Which folder of one's workspace is copied."""

    node = forms.ChoiceField(label="Machine")
    folder = forms.CharField(
        label="Folder",
        max_length=200,
        widget=forms.TextInput(attrs=PLAIN | {"placeholder": "lessons/vision"}),
        help_text="Below /workspace. Hidden files and links stay behind.",
    )

    def __init__(self, *args: Any, nodes: Iterable[Node], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.nodes = {node.pk: node for node in nodes}
        self.fields["node"].choices = [(pk, node.name) for pk, node in self.nodes.items()]  # type: ignore[attr-defined]
