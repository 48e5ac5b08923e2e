"""What the queue keeps beside the labs themselves: cards taken back and kept, an administrator's moves, estimates."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from labs.fleet.models import Gpu
from labs.lifecycle.models.lab import Lab


class Reclaim(models.Model):
    """A lab's cards are taken back for another lab: noticed, told inside the lab, over. One open a lab, by constraint."""

    class Outcome(models.TextChoices):
        OPEN = "", "Under way"
        TAKEN = "taken", "The cards were taken back"
        CALLED_OFF = "called_off", "Called off: nobody needs them any more"
        ENDED = "ended", "It ended by itself before"

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="reclaims")
    attempt = models.PositiveSmallIntegerField()
    taken_for = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="reclaiming")
    noticed_at = models.DateTimeField()
    ends_at = models.DateTimeField(help_text="When the lab ends, if this is not called off.")
    told_at = models.DateTimeField(null=True, help_text="When its programs were told, by file and by signal.")
    closed_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=12, choices=Outcome.choices, blank=True, default=Outcome.OPEN)

    class Meta:
        ordering = ["noticed_at"]
        constraints = [
            models.UniqueConstraint(fields=["lab"], condition=Q(closed_at__isnull=True), name="reclaim_open_once_a_lab"),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True, outcome="") | Q(closed_at__isnull=False) & ~Q(outcome=""), name="reclaim_closes_as_something"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.lab_id} for {self.taken_for_id}"


class Keep(models.Model):
    """A card that one waiting lab alone may take: it was taken back for it. One open a card, by constraint."""

    gpu = models.ForeignKey(Gpu, on_delete=models.PROTECT, related_name="keeps")
    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="keeps")
    until = models.DateTimeField(help_text="If the lab has not taken it by then, it is everybody's again.")
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["gpu"], condition=Q(closed_at__isnull=True), name="keep_open_once_a_gpu")]

    def __str__(self) -> str:
        return f"{self.gpu_id} for {self.lab_id}"


class QueueMove(models.Model):
    """An administrator put a waiting lab elsewhere in the queue, for a reason that its owner reads."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="moves")
    priority = models.SmallIntegerField(help_text="Above 0 before all others, the highest first; below 0 after them.")
    reason = models.CharField(max_length=200)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    made_at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["lab"], condition=Q(undone_at__isnull=True), name="queue_move_once_a_lab"),
            models.CheckConstraint(condition=~Q(priority=0), name="queue_move_moves"),
        ]

    def __str__(self) -> str:
        return f"{self.lab_id} by {self.priority}"


class Estimate(models.Model):
    """When a lab was thought to start, as it was said first, and when it did."""

    lab = models.OneToOneField(Lab, on_delete=models.CASCADE, related_name="estimate")
    made_at = models.DateTimeField()
    earliest = models.DateTimeField()
    latest = models.DateTimeField()
    came_at = models.DateTimeField(null=True, help_text="When its cards were given to it.")

    class Meta:
        indexes = [models.Index(fields=["came_at"], name="estimate_came")]
        constraints = [models.CheckConstraint(condition=Q(earliest__lte=models.F("latest")), name="estimate_is_a_range")]

    def __str__(self) -> str:
        return f"{self.lab_id} {self.earliest:%H:%M}-{self.latest:%H:%M}"
