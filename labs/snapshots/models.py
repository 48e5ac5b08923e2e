"""Snapshots of workspaces, and the restores that were made of them."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from labs.fleet.models import Node
from labs.snapshots import rules


class Snapshot(models.Model):
    """One workspace on one node as it was at a moment."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="snapshots")
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="snapshots")
    why = models.CharField(max_length=10, choices=list(rules.WHY_WORDS.items()))
    state = models.CharField(max_length=10, choices=list(rules.SNAPSHOT_WORDS.items()), default=rules.ASKED)
    words = models.CharField(max_length=300, blank=True, help_text="Why it was not made.")
    percent = models.PositiveSmallIntegerField(default=0)
    size = models.PositiveBigIntegerField(default=0, help_text="Bytes of the disk that it takes.")
    asked_at = models.DateTimeField()
    made_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-asked_at", "-pk"]
        constraints = [models.UniqueConstraint(fields=["owner", "node"], condition=Q(state__in=rules.UNDER_WAY), name="snapshot_once_at_a_time")]

    def __str__(self) -> str:
        return f"{self.owner_id} on {self.node_id}, {self.asked_at:%F %H:%M}"


class Restore(models.Model):
    """A workspace is made what a snapshot of it says; what was there before is a snapshot first."""

    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="restores")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="restores")
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="restores")
    undo = models.ForeignKey(Snapshot, null=True, on_delete=models.SET_NULL, related_name="undoes", help_text="The state before it.")
    state = models.CharField(max_length=10, choices=list(rules.RESTORE_WORDS.items()), default=rules.ASKED)
    words = models.CharField(max_length=300, blank=True)
    percent = models.PositiveSmallIntegerField(default=0)
    tries = models.PositiveSmallIntegerField(default=0)
    asked_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-asked_at", "-pk"]
        constraints = [models.UniqueConstraint(fields=["owner", "node"], condition=Q(state__in=rules.RESTORING), name="restore_once_at_a_time")]

    def __str__(self) -> str:
        return f"{self.owner_id} on {self.node_id}: {self.state}"

    @property
    def mark(self) -> str:
        """Names what it leaves beside the workspace while it is made."""
        return f"restore{self.pk}"
