"""What administrators tell people, and on which nodes the terminals have heard it."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q

from labs.fleet.models import Node
from labs.people.models import Group


class Announcement(models.Model):
    """Words for everybody, for a group with all below it, or for those whose labs are on a node; until a moment."""

    class Tone(models.TextChoices):
        NOTE = "note", "Good to know"
        WARNING = "warning", "Needs care"

    words = models.CharField(max_length=400)
    tone = models.CharField(max_length=10, choices=Tone.choices, default=Tone.NOTE)
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="announcements")
    node = models.ForeignKey(Node, null=True, blank=True, on_delete=models.CASCADE, related_name="announcements")
    by_notice = models.BooleanField(default=False, help_text="Also sent as a message.")
    to_terminals = models.BooleanField(default=False, help_text="Also written to the terminals of labs.")
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="announcements")
    made_at = models.DateTimeField()
    until = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-made_at", "-pk"]
        indexes = [models.Index(fields=["until"], condition=Q(withdrawn_at__isnull=True), name="announcement_standing")]
        constraints = [models.CheckConstraint(condition=Q(group__isnull=True) | Q(node__isnull=True), name="announcement_one_audience")]

    def __str__(self) -> str:
        return self.words

    @property
    def audience(self) -> str:
        """For whom, in words."""
        if self.node_id:
            return f"people with labs on {self.node}"
        return str(self.group) if self.group_id else "everybody"

    def stands(self, now: datetime) -> bool:
        """Is it shown now?"""
        return self.withdrawn_at is None and now < self.until


class Told(models.Model):
    """The labs of a node were told an announcement in their terminals, once."""

    announcement = models.ForeignKey(Announcement, on_delete=models.CASCADE, related_name="told")
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="+")
    told_at = models.DateTimeField()
    terminals = models.PositiveIntegerField(help_text="How many terminals were reached.")

    class Meta:
        verbose_name_plural = "told"
        constraints = [models.UniqueConstraint(fields=["announcement", "node"], name="announcement_told_once_a_node")]

    def __str__(self) -> str:
        return f"{self.announcement_id} on {self.node_id}"
