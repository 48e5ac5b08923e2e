"""Write announcements to the terminals of this node's labs, each once."""

from datetime import datetime

from labs.announcements.models import Announcement
from labs.announcements.queries import announcements_untold, labs_to_tell
from labs.announcements.services import announcement_told
from labs.lifecycle.models import Lab
from worker.hands import Hands
from worker.loops.idle import lab_terminals_write


def tick(*, hands: Hands, now: datetime) -> int:
    """How many announcements were told. One that fails half-way is told again: twice is better than never."""
    return sum(_tell(one, hands, now) for one in announcements_untold(node_id=hands.node_id, now=now))


def _tell(announcement: Announcement, hands: Hands, now: datetime) -> bool:
    labs: list[Lab] = labs_to_tell(announcement=announcement, node_id=hands.node_id)
    reached = sum(lab_terminals_write(hands=hands, lab=lab, words=announcement.words) for lab in labs)
    return announcement_told(announcement=announcement, node_id=hands.node_id, terminals=reached, now=now)
