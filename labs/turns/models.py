"""Whose turn it is to run a loop of which the house has one at a time."""

from django.db import models


class Turn(models.Model):
    """One loop's turn. `fence` grows with every change of holder, so that a holder that slept is known by its old number."""

    name = models.CharField(primary_key=True, max_length=40)
    holder = models.CharField(max_length=100)
    fence = models.BigIntegerField(default=0)
    until = models.DateTimeField(help_text="By the database's clock: the holders' own may differ.")

    def __str__(self) -> str:
        return f"{self.name}: {self.holder} ({self.fence})"
