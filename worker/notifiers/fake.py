"""A notifier in memory, and two that fail on purpose."""

from worker.notifiers.base import Message, NotifierFault


class FakeNotifier:
    """Keeps what it was given."""

    kind = "fake"

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        """Keep it."""
        self.sent.append(message)


class DeafNotifier(FakeNotifier):
    """Nobody answers; it may pass later."""

    def send(self, message: Message) -> None:
        """Fail for now."""
        raise NotifierFault("Nobody answers.")


class RefusingNotifier(FakeNotifier):
    """The other side wants no more."""

    def send(self, message: Message) -> None:
        """Fail for good."""
        raise NotifierFault("This address is not served any more.", permanent=True)
