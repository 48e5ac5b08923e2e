"""Lab images, by digest."""

from django.db import models


class Image(models.Model):
    """One image that labs can be started from. A digest never changes; a new build is a new row."""

    class Runtime(models.TextChoices):
        DOCKER = "docker", "Container image"
        PROCESS = "process", "Environment of this machine"

    slug = models.SlugField(max_length=80, unique=True)
    title = models.CharField(max_length=100)
    runtime = models.CharField(max_length=10, choices=Runtime.choices, default=Runtime.DOCKER)
    repository = models.CharField(max_length=200)
    tag = models.CharField(max_length=128)
    digest = models.CharField(max_length=80, blank=True, help_text="sha256:…; filled in once a node has pulled or built it.")
    pulled = models.BooleanField(default=False, help_text="The digest is a registry's; otherwise it is the engine's own image id.")
    torch = models.CharField(max_length=30, blank=True)
    cuda = models.CharField(max_length=20, blank=True, help_text="Empty: a CPU build.")
    python = models.CharField(max_length=20, blank=True)
    description = models.TextField(blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["title"]
        constraints = [
            models.CheckConstraint(condition=~models.Q(tag="latest"), name="image_tag_is_never_latest"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def reference(self) -> str:
        """What an engine is asked for: by digest as soon as one is known, so that a moved tag changes nothing."""
        if self.runtime == self.Runtime.DOCKER and self.digest:
            return f"{self.repository}@{self.digest}" if self.pulled else self.digest
        return f"{self.repository}:{self.tag}"
