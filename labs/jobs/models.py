"""What starts jobs by itself."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from labs.jobs.rules import days_words
from labs.lifecycle.models import Lab


class Trigger(models.Model):
    """A job that is started by the clock or by another program's call. `wish` is what POST /labs takes, checked when it was kept and again at each run."""

    class Kind(models.TextChoices):
        SCHEDULE = "schedule", "Schedule"
        CALL = "call", "Call from outside"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="triggers")
    name = models.CharField(max_length=32)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    wish = models.JSONField()
    weekdays = models.JSONField(default=list, help_text="Of a schedule; Monday is 0.")
    at = models.CharField(max_length=5, blank=True, help_text="Of a schedule, in the house's time zone.")
    next_at = models.DateTimeField(null=True)
    digest = models.CharField(max_length=64, blank=True, help_text="Of the secret with which it is called.")
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
        return f"{days_words(self.weekdays)} at {self.at}" if self.kind == self.Kind.SCHEDULE else "when it is called"
