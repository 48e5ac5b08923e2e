"""What people wish to have tidied in their workspaces, and what was done."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from labs.fleet.models import Node
from labs.tidying import rules


def folders_first() -> list[str]:
    """Where checkpoints lie, unless their owner says otherwise."""
    return ["checkpoints"]


class Wish(models.Model):
    """One person's. Nothing is removed by itself until they say so."""

    owner = models.OneToOneField(settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE, related_name="tidy_wish")
    folders = models.JSONField(default=folders_first, help_text="Below the workspace.")
    newest = models.PositiveSmallIntegerField(default=3)
    metric = models.CharField(max_length=40, blank=True, help_text="The number behind this and = in a name says which is best.")
    direction = models.CharField(max_length=3, choices=[(rules.SMALLEST, "the smallest"), (rules.GREATEST, "the greatest")], default=rules.SMALLEST)
    on = models.BooleanField(default=False, help_text="Older checkpoints go into the trash by themselves.")
    changed_at = models.DateTimeField(help_text="When it was last said which checkpoints stay.")
    caches = models.JSONField(default=list, help_text="Cleaned when the last lab on a node has ended.")
    caches_at = models.DateTimeField(help_text="When that was said.")

    def __str__(self) -> str:
        return f"{self.owner_id}: {'on' if self.on else 'off'}, {len(self.caches)} caches"

    @property
    def keep(self) -> rules.Keep:
        """Which checkpoints stay."""
        return rules.Keep(self.newest, self.metric, self.direction)


class Chore(models.Model):
    """One thing done once in one workspace on one node, by its file page."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="chores")
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="chores")
    kind = models.CharField(max_length=12, choices=list(rules.KINDS.items()))
    why = models.CharField(max_length=8, choices=list(rules.WHY.items()))
    state = models.CharField(max_length=8, choices=list(rules.STATES.items()), default=rules.ASKED)
    given = models.JSONField(default=dict, help_text="What its owner wished at that moment.")
    found = models.JSONField(default=dict, help_text="What was seen and done.")
    count = models.PositiveIntegerField(default=0, help_text="Files and folders that were put into the trash.")
    freed = models.PositiveBigIntegerField(default=0, help_text="Bytes: in the trash, or of caches for ever.")
    words = models.CharField(max_length=300, blank=True, help_text="Why it was not done.")
    asked_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-asked_at", "-pk"]
        constraints = [models.UniqueConstraint(fields=["owner", "node", "kind"], condition=Q(state=rules.ASKED), name="chore_once_at_a_time")]
        indexes = [models.Index(fields=["node", "state"], name="chore_by_node")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.owner_id} on {self.node_id}"
