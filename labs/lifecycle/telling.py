"""What people are told by message about their labs. Each is queued in the transaction of the fact that it tells."""

from datetime import datetime

from labs.lifecycle.models import Lab
from labs.notices.services import notice_queue


def offer_tell(*, lab: Lab, now: datetime) -> None:
    """Its turn has come and it is held for its owner until its deadline. Of no use after that."""
    held = f"{lab.gpus} GPU{'' if lab.gpus == 1 else 's'} on {lab.node_id}" if lab.gpus else f"Room on {lab.node_id}"
    words = (
        f"{held} {'are' if lab.gpus > 1 else 'is'} held for your lab {lab.name} for 10 minutes. Claim it on its page and it starts.\n\n"
        "If you do not, somebody else's lab gets its turn and yours leaves the queue. Your files are untouched either way."
    )
    notice_queue(
        user=lab.owner,
        kind="claim",
        subject=f"It is {lab.name}'s turn",
        words=words,
        url=f"/labs/{lab.pk}/",
        key=f"claim:{lab.pk}:{now.timestamp():.0f}",
        until=lab.deadline_at,
        now=now,
    )
