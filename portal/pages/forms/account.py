"""The forms of the account pages and of an invitation."""

from typing import Any

from allauth.account.forms import ChangePasswordForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm
from django import forms
from django.core.files.uploadedfile import UploadedFile

from labs.notices.models import Webhook
from labs.people.models import ApiToken, User

#: Bytes of a file that may be a public key, characters of a text that may be one.
KEY_FILE_MOST = 20_000
PASSWORD_HELP = "At least 10 characters, and not one that everybody uses."


class ProfileForm(forms.Form):
    """One's own name."""

    display_name = forms.CharField(label="Name", max_length=100, widget=forms.TextInput(attrs={"autocomplete": "name"}))


class KeyForm(forms.Form):
    """An SSH public key, pasted or as its file; with a proof of possession when another account has it."""

    text = forms.CharField(
        label="Public key",
        max_length=KEY_FILE_MOST,
        error_messages={"required": "Paste a public key, or choose its file."},
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "placeholder": "ssh-ed25519 AAAA… you@laptop"}),
        help_text="The content of ~/.ssh/id_ed25519.pub. Never paste the file without .pub: that one is private.",
    )
    file = forms.FileField(label="Or its file", required=False, widget=forms.FileInput(attrs={"accept": ".pub"}), help_text="The one that ends in .pub.")
    name = forms.CharField(label="Name", max_length=100, required=False, help_text="Such as laptop; otherwise the key's own comment.")
    proof = forms.CharField(
        label="Proof that the key is yours",
        max_length=KEY_FILE_MOST,
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "placeholder": "-----BEGIN SSH SIGNATURE-----"}),
    )

    use_required_attribute = False  # a browser would not send a file alone

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["text"].required = not self.files.get("file")

    @property
    def wants_proof(self) -> bool:
        """Was it asked for?"""
        return self.is_bound and bool("proof" in self.errors or self.data.get("proof"))

    def clean(self) -> dict[str, Any]:
        """One text, wherever it came from; it stays on the page when a proof is asked for."""
        data: dict[str, Any] = super().clean() or {}
        if data.get("file") and not data.get("text"):
            data["text"] = self._file_text(data["file"])
            self.data = self.data.copy()  # type: ignore[attr-defined]
            self.data["text"] = data["text"]  # type: ignore[index]
        return data

    def _file_text(self, file: UploadedFile) -> str:
        """What is in the file; the words of a refusal are the form's. A private key is not put back onto the page."""
        raw = file.read(KEY_FILE_MOST + 1)
        if b"PRIVATE KEY" in raw:
            self.add_error("file", "This file is your private key: nobody else may have it. Choose the one that ends in .pub.")
        elif len(raw) > KEY_FILE_MOST or not raw.strip() or not raw.isascii():
            self.add_error("file", "This file is no public key. Choose the one that ends in .pub, such as ~/.ssh/id_ed25519.pub.")
        else:
            return raw.decode("ascii").strip()
        return ""


class TokenForm(forms.Form):
    """An API token."""

    name = forms.CharField(label="What is it for?", max_length=100)
    scope = forms.ChoiceField(label="It may", choices=ApiToken.Scope.choices, initial=ApiToken.Scope.LAUNCH)
    days = forms.IntegerField(label="Days until it expires", min_value=1, max_value=365, initial=90)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not user.is_administrator:
            choices = [choice for choice in ApiToken.Scope.choices if choice[0] != ApiToken.Scope.ADMIN]
            self.fields["scope"].choices = choices  # type: ignore[attr-defined]


class DeviceForm(forms.Form):
    """The code that a program shows."""

    code = forms.CharField(
        label="Code",
        max_length=20,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "placeholder": "BCDF-GHJK"}),
        help_text="As your terminal shows it.",
    )


class ChatForm(forms.Form):
    """Where messages go in a chat."""

    shape = forms.ChoiceField(label="Which chat", choices=Webhook.Shape.choices)
    url = forms.CharField(
        label="Webhook address",
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "placeholder": "https://…"}),
        help_text="It is a secret: it is kept sealed and not shown again.",
    )
    secret = forms.CharField(
        label="Signing secret",
        max_length=200,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Only for DingTalk robots with a signature. With a keyword instead, choose “GPU Lab”.",
    )


class PasswordForm(ChangePasswordForm):  # type: ignore[misc]
    """One's own password, in the words of the other forms."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, label in (("oldpassword", "Current password"), ("password1", "New password"), ("password2", "New password again")):
            self.fields[name].label = label
            self.fields[name].widget.attrs.pop("placeholder", None)
        self.fields["password1"].help_text = PASSWORD_HELP


class InvitationForm(forms.Form):
    """What somebody who accepts an invitation says of themselves."""

    display_name = forms.CharField(label="Your name", max_length=100, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    password = forms.CharField(
        label="Password",
        max_length=200,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=PASSWORD_HELP,
    )
    again = forms.CharField(label="Password again", max_length=200, strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}))

    def clean(self) -> dict[str, Any]:
        """Both are the same."""
        data: dict[str, Any] = super().clean() or {}
        if data.get("password") and data.get("again") and data["password"] != data["again"]:
            self.add_error("again", "The two passwords differ.")
        return data


class PasskeyForm(AddWebAuthnForm):
    """A new passkey: its name, and whether it signs in alone."""

    passwordless = forms.BooleanField(
        label="Sign in with it alone", required=False, initial=True, help_text="Asks for your fingerprint, face or PIN. Without, it comes after the password."
    )
