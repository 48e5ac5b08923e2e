"""The file pages of people's workspaces: who wants one open on which node, and where it answers."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from labs.fleet.models import Node
from labs.lifecycle.models import new_lab_id


class Desk(models.Model):
    """One person's file page on one node. Its id names it to relays as a lab's does, and stays: unfinished uploads find it again."""

    class State(models.TextChoices):
        CLOSED = "closed", "Closed"
        OPENING = "opening", "Being opened"
        OPEN = "open", "Open"

    id = models.CharField(primary_key=True, max_length=12, default=new_lab_id, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="desks")
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="desks")
    attempt = models.PositiveIntegerField(default=0, help_text="How often it was opened; names the container.")
    state = models.CharField(max_length=8, choices=State.choices, default=State.CLOSED)
    state_since = models.DateTimeField()
    wanted_until = models.DateTimeField(help_text="It is closed after that, unless it is in use then.")
    sweep_at = models.DateTimeField(null=True, help_text="When something in its trash is to be removed for ever.")
    left = models.BigIntegerField(null=True, help_text="Bytes of the owner's limit that were left when it was opened; null without a limit.")
    host = models.CharField(max_length=100, blank=True)
    port = models.PositiveIntegerField(null=True)
    words = models.CharField(max_length=300, blank=True, help_text="Why it is not open, where that is not by itself.")

    class Meta:
        ordering = ["owner", "node"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "node"], name="desk_once_a_node"),
            models.CheckConstraint(condition=~Q(state="open") | Q(port__isnull=False), name="desk_open_has_a_port"),
        ]

    def __str__(self) -> str:
        return f"the files of {self.owner_id} on {self.node_id}"

    @property
    def container(self) -> str:
        """The name of its container."""
        return f"gpulab-{self.id}-{self.attempt}"

    @property
    def base_url(self) -> str:
        """What its paths begin with."""
        return f"/l/{self.id}/"


class DeskToken(models.Model):
    """A program's way to a file page, for an hour or so. Only its digest is kept."""

    desk = models.ForeignKey(Desk, on_delete=models.CASCADE, related_name="tokens")
    digest = models.CharField(max_length=64, unique=True)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"a way to {self.desk_id} until {self.until:%F %T}"
