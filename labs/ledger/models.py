"""What happened: append-only, at once the audit log, the timeline of a lab and the source of every replay."""

from typing import Any

from django.db import models


class Event(models.Model):
    """Who did what to which thing, when. Never changed and never deleted."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.CharField(max_length=150, default="GPU Lab")
    kind = models.CharField(max_length=60)
    subject = models.CharField(max_length=80)
    words = models.TextField()
    fact = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["subject", "id"], name="event_subject"),
            models.Index(fields=["kind", "at"], name="event_kind_at"),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.at:%F %T} {self.kind} {self.subject}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert only."""
        if not self._state.adding:
            raise TypeError("An event is written once.")
        super().save(*args, **kwargs)
