"""What is kept of the readings of cards and labs: a row a minute for a month, a row an hour for more than a year, and one for a lab that has ended."""

from django.db import models

from labs.fleet.models import Gpu
from labs.lifecycle.models import Lab


class GpuMinute(models.Model):
    """One card in one minute. Null where the card gave no such reading in all of it."""

    gpu = models.ForeignKey(Gpu, on_delete=models.CASCADE, related_name="minutes")
    minute = models.DateTimeField(help_text="The minute's beginning.")
    gpu_pct_avg = models.FloatField(null=True)
    gpu_pct_max = models.PositiveSmallIntegerField(null=True)
    memory_mib_max = models.PositiveIntegerField(null=True)
    temperature_max = models.PositiveSmallIntegerField(null=True)
    power_avg = models.FloatField(null=True)

    class Meta:
        ordering = ["minute"]
        constraints = [models.UniqueConstraint(fields=["gpu", "minute"], name="gpu_minute_once")]
        indexes = [models.Index(fields=["minute"], name="gpu_minute_age")]

    def __str__(self) -> str:
        return f"{self.gpu_id} at {self.minute:%Y-%m-%d %H:%M}"


class GpuHour(models.Model):
    """One card in one hour, from its minutes."""

    gpu = models.ForeignKey(Gpu, on_delete=models.CASCADE, related_name="hours")
    hour = models.DateTimeField(help_text="The hour's beginning.")
    minutes = models.PositiveSmallIntegerField()
    gpu_pct_avg = models.FloatField(null=True)
    memory_mib_max = models.PositiveIntegerField(null=True)
    power_avg = models.FloatField(null=True)

    class Meta:
        ordering = ["hour"]
        constraints = [models.UniqueConstraint(fields=["gpu", "hour"], name="gpu_hour_once")]
        indexes = [models.Index(fields=["hour"], name="gpu_hour_age")]

    def __str__(self) -> str:
        return f"{self.gpu_id} at {self.hour:%Y-%m-%d %H}h"


class LabUse(models.Model):
    """What one lab did in a span of time. `cards` counts its cards that said how busy they were, `cards_idle` those that were not: card-minutes."""

    cards = models.PositiveIntegerField(default=0)
    cards_idle = models.PositiveIntegerField(default=0)
    gpu_pct_sum = models.FloatField(default=0.0, help_text="Percent busy, summed over card-minutes.")
    gpu_pct_max = models.PositiveSmallIntegerField(null=True)
    gpu_memory_mib_max = models.PositiveIntegerField(null=True, help_text="The most that one of its cards held.")
    cpu_pct_avg = models.FloatField(null=True)
    memory_mib_max = models.PositiveIntegerField(null=True)
    shm_mib_max = models.PositiveIntegerField(null=True)

    class Meta:
        abstract = True


class LabMinute(LabUse):
    """One lab in one minute."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="minutes")
    minute = models.DateTimeField(help_text="The minute's beginning.")

    class Meta:
        ordering = ["minute"]
        constraints = [models.UniqueConstraint(fields=["lab", "minute"], name="lab_minute_once")]
        indexes = [models.Index(fields=["minute"], name="lab_minute_age")]

    def __str__(self) -> str:
        return f"{self.lab_id} at {self.minute:%Y-%m-%d %H:%M}"


class LabHour(LabUse):
    """One lab in one hour, from its minutes."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="use_hours")
    hour = models.DateTimeField(help_text="The hour's beginning.")
    minutes = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["hour"]
        constraints = [models.UniqueConstraint(fields=["lab", "hour"], name="lab_hour_once")]
        indexes = [models.Index(fields=["hour"], name="lab_hour_age")]

    def __str__(self) -> str:
        return f"{self.lab_id} at {self.hour:%Y-%m-%d %H}h"


class LabSummary(LabUse):
    """What an ended lab did in all of its life; written once, kept as long as the lab."""

    lab = models.OneToOneField(Lab, on_delete=models.CASCADE, related_name="summary", primary_key=True)
    minutes = models.PositiveIntegerField(default=0)
    gpu_memory_mib = models.PositiveIntegerField(default=0, help_text="What one of its cards has.")

    def __str__(self) -> str:
        return f"use of {self.lab_id}"
