"""Limits by role, exceptions, caps of whole groups, windows of wider limits, and what people ask for. All are edited on a page."""

from datetime import time

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from labs.people.models import Group, Role


def _count(**options: object) -> "models.PositiveIntegerField[int, int]":
    return models.PositiveIntegerField(**options)  # type: ignore[arg-type]


def _cap(help_text: str) -> "models.PositiveIntegerField[int, int]":
    return _count(null=True, blank=True, help_text=help_text)


class RoleLimits(models.Model):
    """What everybody of a role may have."""

    role = models.CharField(primary_key=True, max_length=20, choices=Role.choices)
    gpus = _count(help_text="GPUs at once that are guaranteed.")
    gpus_max = _count(help_text="GPUs at once that nothing passes.")
    labs = _count(help_text="Labs at once, waiting ones included.")
    pending = _count(help_text="Labs waiting at once.")
    cpus = _count(validators=[MinValueValidator(1)], help_text="CPU cores over all labs.")
    memory_gib = _count(validators=[MinValueValidator(1)], help_text="GiB of memory over all labs.")
    shm_gib = _count(help_text="GiB of shared memory a lab.")
    pids = _count(validators=[MinValueValidator(64)], help_text="Processes and threads a lab.")
    hours_max = _count(validators=[MinValueValidator(1)], help_text="Hours that a lab may run.")
    gpu_hours_week = _count(null=True, blank=True, help_text="GPU-hours in seven days; empty for no limit.")
    gpu_hours_month = _count(null=True, blank=True, help_text="GPU-hours in thirty days; empty for no limit.")
    disk_gib = _count(help_text="GiB of workspace.")
    weight = _count(validators=[MinValueValidator(1)], help_text="Weight in the fair share.")

    class Meta:
        verbose_name_plural = "role limits"
        constraints = [
            models.CheckConstraint(condition=Q(gpus__lte=F("gpus_max")), name="role_guarantee_within_cap"),
        ]

    def __str__(self) -> str:
        return f"Limits of a {self.role}"


class QuotaRequest(models.Model):
    """A person asks for more, for a time. One at once; what is granted is an exception of its own that ends by itself."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        GRANTED = "granted", "Granted"
        DECLINED = "declined", "Declined"
        WITHDRAWN = "withdrawn", "Withdrawn"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="quota_requests")
    asked = models.JSONField(help_text="Limit -> number.")
    until = models.DateTimeField()
    why = models.CharField(max_length=500)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    created_at = models.DateTimeField()
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    answered_at = models.DateTimeField(null=True)
    answer = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["user"], condition=Q(state="open"), name="quota_request_open_once_a_person"),
            models.CheckConstraint(condition=Q(until__gt=F("created_at")), name="quota_request_ends_later"),
            models.CheckConstraint(condition=Q(state="open", answered_at=None) | ~Q(state="open"), name="quota_request_open_unanswered"),
        ]

    def __str__(self) -> str:
        return f"Request {self.pk} of {self.user}"


class LimitOverride(models.Model):
    """An exception for one person or one group. An empty field leaves the role's limit as it is.

    With a `request` it is a grant: it only widens, it ends by itself, and a person may have several beside the standing one.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="overrides")
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="overrides")
    request = models.OneToOneField(QuotaRequest, null=True, blank=True, on_delete=models.CASCADE, related_name="grant")
    gpus = _count(null=True, blank=True)
    gpus_max = _count(null=True, blank=True)
    labs = _count(null=True, blank=True)
    pending = _count(null=True, blank=True)
    cpus = _count(null=True, blank=True)
    memory_gib = _count(null=True, blank=True)
    shm_gib = _count(null=True, blank=True)
    pids = _count(null=True, blank=True)
    hours_max = _count(null=True, blank=True)
    gpu_hours_week = _count(null=True, blank=True)
    gpu_hours_month = _count(null=True, blank=True)
    disk_gib = _count(null=True, blank=True)
    weight = _count(null=True, blank=True)
    until = models.DateTimeField(null=True, blank=True)
    note = models.CharField(max_length=200, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, group__isnull=True) | Q(user__isnull=True, group__isnull=False),
                name="override_for_one_person_or_one_group",
            ),
            models.CheckConstraint(
                condition=Q(request__isnull=True) | Q(user__isnull=False, until__isnull=False),
                name="grant_for_a_person_and_a_time",
            ),
            models.UniqueConstraint(fields=["user"], condition=Q(user__isnull=False, request__isnull=True), name="override_once_a_person"),
            models.UniqueConstraint(fields=["group"], condition=Q(group__isnull=False), name="override_once_a_group"),
        ]

    def __str__(self) -> str:
        return f"Override for {self.user or self.group}"


class GroupLimits(models.Model):
    """What a whole group may have, beside what each of its members may: caps on the sum over all of them, and its part of the house."""

    group = models.OneToOneField(Group, primary_key=True, on_delete=models.CASCADE, related_name="limits")
    guarantee = _cap("GPUs that the house guarantees to the group.")
    weight = _count(default=1, validators=[MinValueValidator(1)], help_text="Weight in the fair share among its neighbours.")
    gpus = _cap("GPUs of all members together.")
    labs = _cap("Labs of all members at once.")
    pending = _cap("Waiting labs of all members.")
    cpus = _cap("CPU cores of all members together.")
    memory_gib = _cap("GiB of memory of all members together.")
    shm_gib = _cap("GiB of shared memory of each of their labs.")
    hours_max = _cap("Hours of each of their labs.")
    gpu_hours_week = _cap("GPU-hours of all members in seven days.")
    gpu_hours_month = _cap("GPU-hours of all members in thirty days.")
    disk_gib = _cap("GiB of all members' workspaces together.")

    class Meta:
        verbose_name_plural = "group limits"
        constraints = [
            models.CheckConstraint(condition=Q(guarantee__isnull=True) | Q(gpus__isnull=True) | Q(guarantee__lte=F("gpus")), name="group_guarantee_within_cap"),
            models.CheckConstraint(condition=Q(weight__gte=1), name="group_weight_positive"),
        ]

    def __str__(self) -> str:
        return f"Limits of {self.group}"


class LimitWindow(models.Model):
    """Hours of the week, or a quiet house, in which a limit is wider. Hours are of the house's own time zone."""

    class Limit(models.TextChoices):
        GPUS = "gpus_max", "GPUs at most"
        LABS = "labs", "Labs at once"
        PENDING = "pending", "Labs waiting"
        CPUS = "cpus", "CPU cores"
        MEMORY = "memory_gib", "Memory, GiB"
        HOURS = "hours_max", "Hours a lab"

    name = models.CharField(max_length=60, help_text="What people read: nights and weekends.")
    limit = models.CharField(max_length=20, choices=Limit.choices, default=Limit.GPUS)
    times = models.DecimalField(max_digits=4, decimal_places=2, default=1, validators=[MinValueValidator(1), MaxValueValidator(50)])
    plus = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(10_000)])
    days = models.CharField(max_length=7, default="0123456", validators=[RegexValidator(r"^[0-6]{1,7}\Z", "Choose at least one day.")])
    start = models.TimeField(default=time(0))
    end = models.TimeField(default=time(0), help_text="The same as the start: the whole day round.")
    below = models.PositiveSmallIntegerField(null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(100)])
    role = models.CharField(max_length=20, choices=Role.choices, blank=True)
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="limit_windows")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["created_at", "pk"]
        constraints = [
            models.CheckConstraint(condition=Q(times__gte=1) & (Q(times__gt=1) | Q(plus__gt=0)), name="window_widens"),
            models.CheckConstraint(condition=Q(role="") | Q(group__isnull=True), name="window_for_a_role_or_a_group"),
            models.CheckConstraint(condition=Q(below__isnull=True) | Q(below__gte=1, below__lte=100), name="window_load_a_percentage"),
        ]

    def __str__(self) -> str:
        return self.name
