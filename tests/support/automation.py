"""What starts by itself in the furnished house: jobs that are kept, and programs that are called."""

from datetime import datetime, timedelta

from labs.catalogue.models import Image
from labs.jobs.models import Trigger
from labs.jobs.services import trigger_create
from labs.lifecycle.wishes import Wish
from labs.people.models import User
from labs.webhooks.models import Call, Hook
from labs.webhooks.services import hook_create


def automation_furnish(alice: User, image: Image, now: datetime) -> None:
    """Alice has a job for weekdays and one that cannot be; two webhooks of hers rest, so that no test's house calls anybody."""
    wish = Wish(image_id=image.pk, command=("python", "train.py", "--epochs", "10"), gpus=0, cpus=2, memory_gib=4, hours=2)
    nightly, _ = trigger_create(owner=alice, name="nightly", wish=wish, kind="schedule", cron="30 22 * * 1-5", now=now)
    Trigger.objects.filter(pk=nightly.pk).update(next_at=now + timedelta(days=2))  # never while a test runs
    kept, _ = trigger_create(owner=alice, name="new-pictures", wish=wish, kind="file", watch="inbox", now=now)
    words = "Your role allows 4 labs at once; 4 are yours already."
    Trigger.objects.filter(pk=kept.pk).update(paused=True, last_at=now - timedelta(hours=2), last_words=words)
    _hook(alice, "lab book", ["lab.running", "lab.stopped", "lab.failed"], "", now)
    rests = _hook(alice, "status lamp", ["lab.degraded"], "It has not answered five times in a row.", now)
    for kind, state, status, words in (("lab.running", "sent", 204, ""), ("lab.failed", "failed", None, "Nothing answers at this address.")):
        Call.objects.create(
            hook=rests, kind=kind, body={}, state=state, tries=1 if status else 7, last_status=status, last_words=words, queued_at=now, next_try_at=now
        )


def _hook(alice: User, name: str, events: list[str], off_words: str, now: datetime) -> Hook:
    made, _ = hook_create(owner=alice, name=name, url="http://127.0.0.1:9/", events=events, everyone=False, now=now)
    Hook.objects.filter(pk=made.pk).update(paused=True, off_words=off_words)
    return made
