"""Which topics a page hears. The client names its page; the topics follow from who it is."""

import re
from dataclasses import dataclass, field
from typing import Any

LAB_PAGE = re.compile(r"lab:([a-z2-7]{12})\Z")
#: Kinds that carry numbers for charts; the others say only that something changed.
NUMBERS = frozenset({"sample", "usage"})


@dataclass(slots=True)
class Subscription:
    """What one viewer hears, beside the topic of the person."""

    user_id: int
    gpus: bool = False
    queue: bool = False
    labs: set[str] = field(default_factory=set)

    def hears(self, topic: str) -> bool:
        """Is a message of this topic for this viewer?"""
        room, _, rest = topic.partition(".")
        if room == "lab":
            return rest in self.labs
        if room == "person":
            return rest == str(self.user_id)
        return (self.gpus and room in ("gpus", "fleet")) or (self.queue and room in ("queue", "fleet"))

    def follow(self, topic: str, message: dict[str, Any]) -> None:
        """A new lab of the person is heard from now on, where their labs are shown."""
        if self.queue and topic == f"person.{self.user_id}" and message.get("kind") == "lab":
            self.labs.add(str(message.get("lab")))

    def names(self) -> list[str]:
        """The topics, for the viewer's information."""
        rooms = [name for name, wanted in (("gpus.*", self.gpus), ("queue", self.queue)) if wanted]
        return [f"person.{self.user_id}", *rooms, *sorted(f"lab.{lab}" for lab in self.labs)]


def lab_of(page: str) -> str:
    """The lab that a page `lab:<id>` is about, or empty."""
    found = LAB_PAGE.match(page)
    return found[1] if found else ""


def subscription(page: str, user_id: int, labs: set[str]) -> Subscription:
    """`labs` are those of the page that the person may see."""
    return Subscription(user_id, gpus=page == "gpus", queue=page in ("home", "queue"), labs=labs)
