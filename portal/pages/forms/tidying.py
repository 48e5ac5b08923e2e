"""Which checkpoints stay, and which caches are emptied."""

from typing import Any

from django import forms

from labs.tidying.models import Wish
from labs.tidying.rules import CACHE_WORDS, GREATEST, NEWEST_MOST, SMALLEST, Keep


class KeepForm(forms.Form):
    """Folders, how many of the newest, and how the best is told."""

    folders = forms.CharField(
        label="Folders of checkpoints",
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text="Below your workspace, one a line. Folders of single runs in them count each by itself.",
    )
    newest = forms.IntegerField(label="Keep the newest", min_value=1, max_value=NEWEST_MOST, help_text="Of each folder.")
    metric = forms.CharField(
        label="And the best by",
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "placeholder": "val_loss"}),
        help_text="What stands before the number in the file's name: val_loss for epoch=12-val_loss=0.31.ckpt. Left empty: no best.",
    )
    direction = forms.ChoiceField(label="The best is", choices=[(SMALLEST, "the smallest, as of a loss"), (GREATEST, "the greatest, as of an accuracy")])

    @classmethod
    def of(cls, wish: Wish, data: Any = None) -> "KeepForm":
        """Filled with what the person wishes so far."""
        first = {"folders": "\n".join(wish.folders), "newest": wish.newest, "metric": wish.metric, "direction": wish.direction}
        return cls(data, initial=first)

    @property
    def keep(self) -> Keep:
        """What was filled in."""
        said = self.cleaned_data
        return Keep(said["newest"], said["metric"].strip(), said["direction"])


class CachesForm(forms.Form):
    """Those that are emptied when the last lab has ended."""

    caches = forms.MultipleChoiceField(
        label="Empty these when my last lab on a node has ended", choices=list(CACHE_WORDS.items()), required=False, widget=forms.CheckboxSelectMultiple
    )
