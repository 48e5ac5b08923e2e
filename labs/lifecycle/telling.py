"""What people are told by message about their labs. Each is queued in the transaction of the fact that it tells."""

from datetime import datetime, timedelta

from labs.lifecycle import states
from labs.lifecycle.models import Lab, Reclaim
from labs.notices.services import notice_queue

#: A lab that is ready sooner needs no message: its owner still looks at the page.
QUICK = timedelta(minutes=2)
ENDS_SOON = timedelta(minutes=30)
#: Ends that the owner made themself.
OWN_ENDS = {"asked", "cancelled"}


def lab_tell(*, lab: Lab, now: datetime) -> None:
    """It is ready, or it has ended: tell its owner, where that is news."""
    if lab.state == states.RUNNING and now - lab.requested_at >= QUICK:
        _tell(lab, "ready", f"{lab.name} is ready", _ready_words(lab), f"ready:{lab.pk}:{lab.attempt}", now, until=lab.ends_at)
    elif lab.state in states.FINAL and lab.reason_code not in OWN_ENDS:
        advice = lab.end.advice if lab.end else ""
        words = f"{lab.reason} {advice}".strip()
        if "files" not in words:
            words += "\n\nYour files in /workspace are untouched."
        _tell(lab, "ended", f"{lab.name} has ended", words, f"ended:{lab.pk}", now)


def degraded_tell(*, lab: Lab, now: datetime) -> None:
    """It can no longer open its GPU: tell its owner, once an attempt."""
    words = f"{lab.degraded}\n\nRestart it on its page: it keeps the same GPU, and your files in /workspace are untouched."
    _tell(lab, "degraded", f"{lab.name} has lost its GPU", words, f"degraded:{lab.pk}:{lab.attempt}", now, until=lab.ends_at)


def labs_ending_tell(*, now: datetime) -> int:
    """Tell the owners of labs that end within 30 minutes, once for each end that was set; how many labs that concerns now."""
    ending = Lab.objects.select_related("owner").filter(state=states.RUNNING, ends_at__gt=now, ends_at__lte=now + ENDS_SOON)
    for lab in ending:
        if lab.ends_at is None or lab.started_at is None or lab.ends_at - lab.started_at <= ENDS_SOON:
            continue
        minutes = round((lab.ends_at - now).total_seconds() / 60)
        words = f"Its time is up in {minutes} minutes. Save your work, or extend it on its page if you need it for longer."
        _tell(lab, "ending", f"{lab.name} ends in {minutes} minutes", words, f"ending:{lab.pk}:{lab.ends_at.timestamp():.0f}", now, until=lab.ends_at)
    return len(ending)


def _ready_words(lab: Lab) -> str:
    gpus = f" with {lab.gpus} GPU{'' if lab.gpus == 1 else 's'}" if lab.gpus else ""
    return f"It runs{gpus}, and its time of {lab.hours} h has begun. JupyterLab opens from its page."


def _tell(lab: Lab, kind: str, subject: str, words: str, key: str, now: datetime, until: datetime | None = None) -> None:
    notice_queue(user=lab.owner, kind=kind, subject=subject, words=words, url=f"/labs/{lab.pk}/", key=key, until=until, now=now)


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


def reclaim_tell(*, reclaim: Reclaim, words: str, now: datetime) -> None:
    """The lab's cards are taken back in five minutes. Of no use after that."""
    lab = reclaim.lab
    notice_queue(
        user=lab.owner,
        kind="reclaim",
        subject=f"{lab.name} is stopped in five minutes: its GPUs are needed",
        words=words,
        url=f"/labs/{lab.pk}/",
        key=f"reclaim:{reclaim.pk}",
        until=reclaim.ends_at,
        now=now,
    )
