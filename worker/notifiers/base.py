"""What a notifier is: it brings one message to one address, or says in words why not."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it leaves the house. `to` is a mail address or a webhook's URL; `shape` and `secret` are the webhook's.

    `text` stands alone; `html` is the same for readers that show it. `url` is the page behind it, whole. `id` is the
    same at every try, so that a message that comes twice can be told for one.
    """

    id: str
    to: str
    subject: str
    text: str
    html: str = ""
    url: str = ""
    shape: str = ""
    secret: str = ""


class NotifierFault(Exception):
    """It did not arrive. `permanent` says that trying again would not help. The words never hold an address or a secret."""

    def __init__(self, words: str, *, permanent: bool = False) -> None:
        super().__init__(words)
        self.words = words
        self.permanent = permanent


class Notifier(Protocol):
    """One way out of the house. `send` returns when the other side has taken the message, within about ten seconds."""

    kind: str

    def send(self, message: Message) -> None:
        """Bring it, or raise NotifierFault."""
        ...
