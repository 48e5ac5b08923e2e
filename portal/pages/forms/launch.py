"""The launch form."""

from collections.abc import Mapping, Sequence

from django import forms

from labs.catalogue.models import Image
from labs.datasets.rules import Shelf
from labs.lifecycle.models import name_validator
from labs.lifecycle.wishes import MOST, Wish
from labs.policy.rules import Limits

#: Before a slice's profile, where a model is chosen.
SLICE = "slice:"


def _whole(label: str, low: int, help_text: str = "", *, required: bool = True) -> forms.IntegerField:
    return forms.IntegerField(label=label, min_value=low, max_value=MOST, help_text=help_text, required=required)


class LaunchForm(forms.Form):
    """What a person asks for. Limits are judged by the rules, not here; here is only what can be a number at all."""

    image = forms.ModelChoiceField(Image.objects.none(), empty_label=None, error_messages={"invalid_choice": "There is no such image."})
    gpus = _whole("GPUs", 0)
    gpu_model = forms.CharField(label="Model", max_length=96, required=False)
    cpus = _whole("CPU cores", 1)
    memory_gib = _whole("Memory", 1)
    shm_gib = _whole("Shared memory", 0, required=False)
    hours = _whole("Hours", 1)
    name = forms.CharField(label="Name", max_length=32, required=False, validators=[name_validator])
    once = forms.BooleanField(label="If they are taken back, do not queue it again", required=False)
    inside = forms.BooleanField(label="Rather wait than run over my guarantee", required=False)
    ask_first = forms.BooleanField(required=False)
    datasets = forms.MultipleChoiceField(label="Data sets", required=False, error_messages={"invalid_choice": "There is no data set %(value)s for you."})
    chosen = forms.BooleanField(required=False, widget=forms.HiddenInput)  # the data sets were shown: none ticked is none wanted
    template = forms.CharField(max_length=40, required=False, widget=forms.HiddenInput)
    key = forms.CharField(max_length=80, required=False, widget=forms.HiddenInput)

    def __init__(
        self, *args: object, images: Sequence[Image], models: Sequence[str], slices: Sequence[str], limits: Limits, sets: Sequence[Shelf] = (), **kwargs: object
    ) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["image"].queryset = images  # type: ignore[attr-defined]
        self.fields["datasets"].choices = [(name, name) for one in sets for name in (one.name, str(one))]  # type: ignore[attr-defined]
        self.models = models
        self.slices = slices
        self.limits = limits
        self.more: Mapping[str, int] = {}  # what would have to be asked for, once it was refused

    def clean_gpu_model(self) -> str:
        """One of the fleet's models, or any; or a slice of a card, as `slice:PROFILE`."""
        model: str = self.cleaned_data["gpu_model"]
        if model.startswith(SLICE) and model.removeprefix(SLICE) not in self.slices:
            raise forms.ValidationError("No node has slices of that size.")
        if model and not model.startswith(SLICE) and model not in self.models:
            raise forms.ValidationError("No node has cards of that model.")
        return model

    @property
    def wish(self) -> Wish:
        """The wish of a valid form."""
        data = self.cleaned_data
        kind: str = data["gpu_model"]
        is_slice = kind.startswith(SLICE)
        names = ("gpus", "cpus", "memory_gib", "shm_gib", "hours", "name", "ask_first")
        return Wish(
            image_id=data["image"].pk,
            gpu_model="" if is_slice else kind,
            wants_slice=kind.removeprefix(SLICE) if is_slice and data["gpus"] else "",
            may_borrow=not data["inside"],
            requeue=not data["once"],
            data=tuple(data["datasets"]) if data["chosen"] else None,
            **{name: data[name] for name in names},
        )
