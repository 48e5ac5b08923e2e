"""Images on their way: what a person (or, by a Dockerfile, an administrator) asked for, and how far it is."""

import secrets

from django.db import models
from django.db.models import Q

from labs.catalogue.models import Image
from labs.fleet.models import Node
from labs.lifecycle.models import Lab
from labs.people.models import User


def new_id() -> str:
    """Names its layer and its tag: no two houses on one engine have the same."""
    return secrets.token_hex(6)


class Making(models.Model):
    """One image in the making: what was wished, and what its node says of it."""

    class Kind(models.TextChoices):
        SAVED = "saved", "Saved lab"
        BUILT = "built", "Built from a list of packages"
        DOCKERFILE = "dockerfile", "Built from a Dockerfile"

    class State(models.TextChoices):
        ASKED = "asked", "Waiting"
        WORKING = "working", "Being made"
        MADE = "made", "Almost ready"
        DONE = "done", "Ready"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    #: Not ended yet.
    OPEN = (State.ASKED, State.WORKING, State.MADE)

    id = models.CharField(primary_key=True, max_length=12, default=new_id, editable=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="makings")
    name = models.CharField(max_length=60)
    note = models.TextField(blank=True)
    base = models.ForeignKey(Image, null=True, on_delete=models.SET_NULL, related_name="+", help_text="The image that it is made on; none for a Dockerfile.")
    lab = models.ForeignKey(
        Lab, null=True, on_delete=models.SET_NULL, related_name="makings", help_text="The lab whose environment it is, or in which it is built."
    )
    attempt = models.PositiveSmallIntegerField(default=0, help_text="The attempt of that lab.")
    node = models.ForeignKey(Node, null=True, on_delete=models.CASCADE, related_name="makings", help_text="Who makes it.")
    text = models.TextField(blank=True, help_text="The requirements or the Dockerfile.")
    most_bytes = models.PositiveBigIntegerField(help_text="What its layer may have.")

    state = models.CharField(max_length=10, choices=State.choices, default=State.ASKED)
    percent = models.PositiveSmallIntegerField(default=0)
    words = models.TextField(blank=True, help_text="What it is at, or why it failed.")
    log = models.TextField(blank=True)
    repository = models.CharField(max_length=200, blank=True)
    tag = models.CharField(max_length=128, blank=True)
    digest = models.CharField(max_length=80, blank=True)
    pulled = models.BooleanField(default=False, help_text="The site's registry has it.")
    size_before = models.PositiveBigIntegerField(default=0)
    size_after = models.PositiveBigIntegerField(default=0)
    image = models.OneToOneField(Image, null=True, on_delete=models.SET_NULL, related_name="making", help_text="What came of it.")
    asked_at = models.DateTimeField()
    began_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-asked_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["node"], condition=Q(state="working"), name="making_one_at_a_time_a_node"),
            models.UniqueConstraint(fields=["owner", "name"], condition=Q(state__in=("asked", "working", "made")), name="making_name_once_a_person"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        """Not ended yet."""
        return self.state in self.OPEN

    @property
    def container(self) -> str:
        """The name of its lab's container."""
        return f"gpulab-{self.lab_id}-{self.attempt}"
