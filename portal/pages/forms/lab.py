"""The small forms of a lab's page."""

from django import forms

from labs.lifecycle.wishes import MOST


class ExtendForm(forms.Form):
    """Run until so many hours from now."""

    hours = forms.IntegerField(label="Hours from now", min_value=1, max_value=MOST)


class KeepForm(forms.Form):
    """Run for so many hours though nobody uses it."""

    hours = forms.IntegerField(label="Hours", min_value=1, max_value=MOST)


class TakeGpuForm(forms.Form):
    """Restart with GPUs as soon as they are free."""

    gpus = forms.IntegerField(label="GPUs", min_value=1, max_value=MOST)
    gpu_model = forms.CharField(label="Model", max_length=96, required=False)


class LabTokenForm(forms.Form):
    """A token of this lab."""

    name = forms.CharField(label="What is it for?", max_length=100, help_text="So that you know later which one to revoke: VS Code on my laptop.")


class StopForm(forms.Form):
    """Why an administrator ends somebody else's lab; the owner reads it."""

    words = forms.CharField(label="Reason", max_length=200, required=False)
