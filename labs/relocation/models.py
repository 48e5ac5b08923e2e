"""Moves of people's workspaces from one node to another."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from labs.fleet.models import Node
from labs.relocation import rules


class Relocation(models.Model):
    """One move of one person's workspace. Until it is `moved` the source's copy is the one that counts, from then on the destination's."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="relocations")
    source = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="+")
    destination = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="+")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    asked_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=list(rules.WORDS.items()), default=rules.ASKED)
    tries = models.PositiveSmallIntegerField(default=0, help_text="The number of the present try: what an earlier one still does counts for nothing.")
    began_at = models.DateTimeField(null=True, help_text="When the present try began.")
    try_at = models.DateTimeField(null=True, help_text="Not to be tried before.")
    total = models.PositiveBigIntegerField(default=0, help_text="Bytes to be copied.")
    done = models.PositiveBigIntegerField(default=0)
    words = models.TextField(blank=True, help_text="What stood in the way last.")
    moved_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    tidied_at = models.DateTimeField(null=True, help_text="When the copy that does not count was removed.")

    followed_at = models.DateTimeField(null=True, help_text="When the workspace's snapshots had followed it, or were left where they were.")
    follow_tries = models.PositiveSmallIntegerField(default=0)
    follow_began_at = models.DateTimeField(null=True)
    follow_at = models.DateTimeField(null=True, help_text="They are not to be brought before.")
    follow_words = models.CharField(max_length=300, blank=True, help_text="Why snapshots stayed behind, or stand still.")

    class Meta:
        ordering = ["-asked_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["owner"], condition=Q(state__in=rules.OPEN), name="relocation_open_once_a_person"),
            models.CheckConstraint(condition=~Q(source=F("destination")), name="relocation_goes_elsewhere"),
            models.CheckConstraint(condition=Q(state__in=list(rules.WORDS)), name="relocation_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.owner_id}: {self.source_id} to {self.destination_id}"

    @property
    def is_open(self) -> bool:
        """Is it under way?"""
        return self.state in rules.OPEN

    @property
    def may_cancel(self) -> bool:
        """Is nothing settled yet?"""
        return self.state in (rules.ASKED, rules.COPYING)

    @property
    def percent(self) -> int:
        """How much of it was copied."""
        return rules.percent(self.done, self.total) if self.state in (rules.ASKED, rules.COPYING) else 100

    @property
    def state_words(self) -> str:
        """Where it stands."""
        return rules.WORDS[self.state]

    @property
    def queue_words(self) -> str:
        """Why its owner's labs wait."""
        return rules.queue_words(self.state, self.done, self.total, self.source.name, self.destination.name)
