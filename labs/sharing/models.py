"""Programs that the house runs in labs, and who may enter which port of a lab besides its owner."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q

from labs.lifecycle.models import Lab
from labs.people.models import Group
from labs.sharing.rules import TOOLS, Tool


class App(models.Model):
    """A program of the house in one attempt of a lab: what was wished (`stop`) and what is (`state`)."""

    class State(models.TextChoices):
        STARTING = "starting", "Starting"
        RUNNING = "running", "Running"
        ENDED = "ended", "Ended"

    #: Not ended yet: one of a kind in a lab.
    OPEN = (State.STARTING, State.RUNNING)

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="apps")
    attempt = models.PositiveSmallIntegerField()
    tool = models.CharField(max_length=20, choices=[(tool.code, tool.title) for tool in TOOLS.values()])
    folder = models.CharField(max_length=200, blank=True, help_text="Below the workspace; empty for all of it.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.STARTING)
    stop = models.BooleanField(default=False, help_text="Its owner wants it to end.")
    port = models.PositiveIntegerField(null=True, help_text="Where it answers in the lab.")
    words = models.CharField(max_length=300, blank=True, help_text="Why it ended, where it did not end by its owner's wish.")
    asked_at = models.DateTimeField()
    state_since = models.DateTimeField()

    class Meta:
        ordering = ["-asked_at", "-pk"]
        indexes = [models.Index(fields=["lab", "-asked_at"], name="app_lab")]
        constraints = [
            models.UniqueConstraint(fields=["lab", "tool"], condition=Q(state__in=("starting", "running")), name="app_once_a_lab"),
            models.CheckConstraint(condition=~Q(state="running") | Q(port__isnull=False), name="app_running_has_a_port"),
        ]

    def __str__(self) -> str:
        return f"{self.kind.title} in {self.lab_id}"

    @property
    def kind(self) -> Tool:
        """What it is, in words."""
        return TOOLS[self.tool]

    @property
    def terminal(self) -> str:
        """The name of the lab's terminal that it runs in."""
        return f"gpulab_{self.tool}_{self.pk}"


class Share(models.Model):
    """One port of a lab that a person, or everybody of a team, may enter until then."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="shares")
    port = models.PositiveIntegerField()
    name = models.CharField(max_length=60, help_text="What its guests read.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="shares")
    group = models.ForeignKey(Group, null=True, on_delete=models.CASCADE, related_name="shares")
    shared_at = models.DateTimeField()
    until = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-shared_at", "-pk"]
        indexes = [models.Index(fields=["until"], condition=Q(withdrawn_at__isnull=True), name="share_standing")]
        constraints = [
            models.CheckConstraint(condition=Q(user__isnull=True) ^ Q(group__isnull=True), name="share_with_a_person_or_a_team"),
            models.CheckConstraint(condition=Q(port__gte=1024, port__lte=65535), name="share_port_unprivileged"),
            models.UniqueConstraint(fields=["lab", "port", "user"], condition=Q(withdrawn_at__isnull=True), name="share_once_a_person"),
            models.UniqueConstraint(fields=["lab", "port", "group"], condition=Q(withdrawn_at__isnull=True), name="share_once_a_team"),
        ]

    def __str__(self) -> str:
        return f"port {self.port} of {self.lab_id} with {self.guest}"

    @property
    def guest(self) -> str:
        """With whom."""
        return str(self.user or self.group)

    def stands(self, now: datetime) -> bool:
        """Neither withdrawn nor over."""
        return self.withdrawn_at is None and now < self.until
