"""Groups whose people's labs start only on nodes whose workspaces lie encrypted."""

from datetime import datetime

from django.db import transaction

from labs.bus.bus import publish
from labs.bus.doorbell import ring
from labs.ledger.services import event_record
from labs.people.models import Group, User


def group_encrypted_set(*, group: Group, encrypted_only: bool, actor: User, now: datetime) -> bool:
    """Ask for it, for all in the group and below it, or do not any more. Labs that run go on. False when it is so already."""
    with transaction.atomic():
        if not Group.objects.filter(pk=group.pk).exclude(encrypted_only=encrypted_only).update(encrypted_only=encrypted_only):
            return False
        where = "only on nodes whose workspaces lie encrypted" if encrypted_only else "also on nodes whose workspaces do not lie encrypted"
        words = f"Labs of the {group.words} start {where}."
        event_record(kind="group.encrypted", subject=f"group:{group.pk}", words=words, actor=actor, now=now)
        publish("queue", "group")
        ring("worker.schedule")
    group.encrypted_only = encrypted_only
    return True
