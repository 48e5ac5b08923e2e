"""What a person sends about a lab whose cards may be taken back."""

from django import forms


class RequeueForm(forms.Form):
    """Ticked: wait again."""

    requeue = forms.BooleanField(required=False)
