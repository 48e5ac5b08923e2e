"""What is kept of the cards' readings: one row a card a minute."""

from django.db import models

from labs.fleet.models import Gpu


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
