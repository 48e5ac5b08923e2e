"""Words that everybody would try first here, and that no password may be made of."""

from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError

#: Besides the parts of the portal's own address.
WORDS = ("gpulab", "gpu lab", "gpu-lab", "jupyter", "pytorch", "notebook", "nvidia")
#: What has to be left of a password without them.
REST = 8


class WordsOfTheHouse:
    """Refuses a password of which little is left without the names of the house and of what it is for."""

    def validate(self, password: str, user: object = None) -> None:
        """ValidationError with words for the person."""
        rest = password.lower()
        for word in sorted({*WORDS, *_address()}, key=len, reverse=True):
            rest = rest.replace(word, "")
        if rest != password.lower() and len(rest) < REST:
            raise ValidationError("This password is made of words that everybody would try first here. Add something of your own.", code="words_of_the_house")

    def get_help_text(self) -> str:
        """What pages say before anybody types."""
        return "Your password cannot be made of the name of this service and what it is for."


def _address() -> list[str]:
    return [part for part in (urlsplit(settings.PORTAL_URL).hostname or "").split(".") if len(part) > 3]
