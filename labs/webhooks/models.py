"""Who wants to be called when something happens to labs, and each call on its way."""

from django.conf import settings
from django.db import models
from django.db.models import Q


class Hook(models.Model):
    """An address that is called. Address and signing secret are kept sealed; the secret was shown once."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="hooks")
    name = models.CharField(max_length=60)
    host = models.CharField(max_length=255)
    url_sealed = models.TextField()
    secret_sealed = models.TextField()
    events = models.JSONField(default=list, help_text="Names of events, such as lab.running.")
    everyone = models.BooleanField(default=False, help_text="Everybody's labs, for administrators.")
    paused = models.BooleanField(default=False)
    off_words = models.CharField(max_length=300, blank=True, help_text="Why it was switched off by the house; empty when its owner paused it.")
    given_up = models.PositiveSmallIntegerField(default=0, help_text="Calls given up one after another.")
    looked_at = models.DateTimeField(help_text="Until when the ledger was looked through for it.")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="hook_name_once_a_person")]

    def __str__(self) -> str:
        return self.name


class Call(models.Model):
    """One event on its way to one hook. The body is settled when it is queued, so that every try says the same."""

    class State(models.TextChoices):
        WAITING = "waiting", "On its way"
        SENT = "sent", "Taken"
        FAILED = "failed", "Given up"

    hook = models.ForeignKey(Hook, on_delete=models.CASCADE, related_name="calls")
    event_id = models.BigIntegerField(null=True, help_text="Of the ledger; none for a test.")
    kind = models.CharField(max_length=60)
    body = models.JSONField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField()
    last_status = models.PositiveSmallIntegerField(null=True, help_text="What the other side answered last; none when it did not.")
    last_words = models.CharField(max_length=300, blank=True)
    queued_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["next_try_at"], condition=Q(state="waiting"), name="call_waiting")]
        constraints = [models.UniqueConstraint(fields=["hook", "event_id"], condition=Q(event_id__isnull=False), name="call_once_an_event")]

    def __str__(self) -> str:
        return f"{self.kind} to {self.hook_id}"

    @property
    def public_id(self) -> str:
        """The same at every try: its receiver knows by it what it has had before. Not by a number of ours, which a restored backup gives away anew."""
        what = f"event{self.event_id}" if self.event_id else f"{self.kind}{self.queued_at:%Y%m%d%H%M%S}"
        return f"msg_{self.hook_id}_{what}"
