"""What starts jobs by itself."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from labs.jobs.rules import SHOWN, cron_words, next_runs
from labs.lifecycle.models import Lab


class Trigger(models.Model):
    """A job that is started by the clock, by a file or by another program's call.

    `wish` is what POST /labs takes, checked when it was kept and again at each run.
    """

    class Kind(models.TextChoices):
        SCHEDULE = "schedule", "Schedule"
        CALL = "call", "Call from outside"
        FILE = "file", "A file that arrives"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="triggers")
    name = models.CharField(max_length=32)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    wish = models.JSONField()
    cron = models.CharField(max_length=100, blank=True, help_text="Of a schedule: five fields, in the house's time zone.")
    next_at = models.DateTimeField(null=True)
    digest = models.CharField(max_length=64, blank=True, help_text="Of the secret with which it is called.")
    watch = models.CharField(max_length=200, blank=True, help_text="The folder below the workspace in which files arrive.")
    paused = models.BooleanField(default=False)
    last_at = models.DateTimeField(null=True)
    last_lab = models.ForeignKey(Lab, null=True, on_delete=models.SET_NULL, related_name="+")
    last_words = models.CharField(max_length=300, blank=True, help_text="Why the last run was refused; empty when it was not.")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]
        indexes = [models.Index(fields=["next_at"], condition=Q(paused=False), name="trigger_due")]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="trigger_name_once_a_person"),
            models.UniqueConstraint(fields=["digest"], condition=~Q(digest=""), name="trigger_secret_once"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def when_words(self) -> str:
        """When it runs, as people say it."""
        if self.kind == self.Kind.SCHEDULE:
            return cron_words(self.cron)
        return "when it is called" if self.kind == self.Kind.CALL else f"for each file that arrives in {self.watch}"

    @property
    def next_runs(self) -> list[datetime]:
        """Of a schedule that is not paused: the next few times."""
        if self.paused or self.next_at is None:
            return []
        return [self.next_at, *next_runs(cron=self.cron, zone=timezone.get_default_timezone(), after=self.next_at, count=SHOWN - 1)]


class Arrival(models.Model):
    """A file that a node has seen in a watched folder, for as long as it lies there. One that lay there before is known and starts nothing."""

    trigger = models.ForeignKey(Trigger, on_delete=models.CASCADE, related_name="arrivals")
    node_id = models.CharField(max_length=40)
    file = models.CharField(max_length=255)
    mark = models.CharField(max_length=64, help_text="Size and time of its last change: another one is another file.")
    seen_at = models.DateTimeField()
    fired_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["seen_at"], condition=Q(fired_at=None), name="arrival_waiting")]
        constraints = [models.UniqueConstraint(fields=["trigger", "node_id", "file", "mark"], name="arrival_once")]

    def __str__(self) -> str:
        return self.file


class Watched(models.Model):
    """That a node has looked into a folder before: from then on what arrives there starts a job."""

    trigger = models.ForeignKey(Trigger, on_delete=models.CASCADE, related_name="watched")
    node_id = models.CharField(max_length=40)
    since = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["trigger", "node_id"], name="watched_once")]

    def __str__(self) -> str:
        return f"{self.trigger_id} on {self.node_id}"
