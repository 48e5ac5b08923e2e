"""Strays: containers that bear this house's label and that no record knows."""

from django.db import models

from labs.fleet.models import Node


class Stray(models.Model):
    """A container in quarantine. It runs on untouched until `remove_at`; an administrator may shorten or lengthen that."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="strays")
    name = models.CharField(max_length=128)
    lab_id = models.CharField(max_length=64, blank=True, help_text="What its label says; there may be no such lab.")
    running = models.BooleanField(default=True)
    gpus = models.JSONField(default=list, help_text="UUIDs of the cards that it was given: no lab is placed on them meanwhile.")
    first_seen_at = models.DateTimeField()
    remove_at = models.DateTimeField()

    class Meta:
        ordering = ["node", "first_seen_at", "name"]
        constraints = [models.UniqueConstraint(fields=["node", "name"], name="stray_once_a_node")]

    def __str__(self) -> str:
        return self.name
