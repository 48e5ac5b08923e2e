"""Limits by role, and exceptions for a person or a group. Both are rows that an administrator edits on a page."""

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models

from labs.people.models import Group, Role


def _count(**options: object) -> "models.PositiveIntegerField[int, int]":
    return models.PositiveIntegerField(**options)  # type: ignore[arg-type]


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
    disk_gib = _count(help_text="GiB of workspace.")
    weight = _count(validators=[MinValueValidator(1)], help_text="Weight in the fair share.")

    class Meta:
        verbose_name_plural = "role limits"
        constraints = [
            models.CheckConstraint(condition=models.Q(gpus__lte=models.F("gpus_max")), name="role_guarantee_within_cap"),
        ]

    def __str__(self) -> str:
        return f"Limits of a {self.role}"


class LimitOverride(models.Model):
    """An exception for one person or one group. An empty field leaves the role's limit as it is."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="overrides")
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="overrides")
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
    disk_gib = _count(null=True, blank=True)
    weight = _count(null=True, blank=True)
    until = models.DateTimeField(null=True, blank=True)
    note = models.CharField(max_length=200, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(user__isnull=False, group__isnull=True) | models.Q(user__isnull=True, group__isnull=False),
                name="override_for_one_person_or_one_group",
            ),
            models.UniqueConstraint(fields=["user"], condition=models.Q(user__isnull=False), name="override_once_a_person"),
            models.UniqueConstraint(fields=["group"], condition=models.Q(group__isnull=False), name="override_once_a_group"),
        ]

    def __str__(self) -> str:
        return f"Override for {self.user or self.group}"
