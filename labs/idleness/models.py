"""When a running lab was last used, and how its owner was warned."""

from django.db import models

from labs.lifecycle.models import Lab
from labs.notices.models import Notice


class Idleness(models.Model):
    """One lab's idle clock; it begins anew with each use."""

    lab = models.OneToOneField(Lab, on_delete=models.CASCADE, primary_key=True, related_name="idleness")
    used_at = models.DateTimeField(help_text="When it was last seen in use.")
    seen_at = models.DateTimeField(help_text="When its node last looked.")
    signs = models.JSONField(default=list, help_text="What was looked at: {code, title, words, in_use}.")
    limit_min = models.PositiveSmallIntegerField(help_text="The limit in force at the last look; 0: the rule is off.")
    warned = models.PositiveSmallIntegerField(default=0, help_text="Percent of the limit of the last warning in this idle spell.")
    warned_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True, help_text="When that warning had arrived where its owner reads it.")
    notice = models.ForeignKey(Notice, null=True, on_delete=models.SET_NULL, related_name="+")
    keep_until = models.DateTimeField(null=True)
    keeps = models.PositiveSmallIntegerField(default=0)

    class Meta:
        verbose_name_plural = "idleness"

    def __str__(self) -> str:
        return f"{self.lab_id}, used {self.used_at:%F %H:%M}"
