"""Data sets that the house offers in labs, version by version, and the state of each on each node."""

from django.conf import settings
from django.db import models

from labs.datasets import rules
from labs.fleet.models import Node
from labs.people.models import Group


class DataSet(models.Model):
    """One version of a data set. It never changes: what is new is a new version."""

    class Backend(models.TextChoices):
        FOLDER = rules.FOLDER, "Folder of the nodes"
        VOLUME = rules.VOLUME, "Volume of the container engine"
        NFS = rules.NFS, "NFS server"
        S3 = rules.S3, "S3 (copied to each node by rclone)"

    name = models.CharField(max_length=40)
    version = models.CharField(max_length=20)
    title = models.CharField(max_length=100)
    about = models.TextField(blank=True)
    licence = models.CharField(max_length=100)
    answers_for = models.CharField(max_length=100, help_text="Who answers for it, in words.")
    backend = models.CharField(max_length=10, choices=Backend.choices)
    source = models.CharField(max_length=255)
    groups = models.ManyToManyField(Group, blank=True, related_name="data_sets", help_text="Who may use it; nobody named: everybody.")
    encrypted_only = models.BooleanField(default=False, db_default=False, help_text="Labs see it only on nodes whose workspaces lie encrypted.")
    checksum = models.CharField(max_length=64, blank=True, help_text="Of all its files, as it was measured first; a copy that differs is not offered.")
    registered_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="data_sets")
    registered_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["name", "-registered_at", "-pk"]
        constraints = [models.UniqueConstraint(fields=["name", "version"], name="data_set_version_once")]

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def subject(self) -> str:
        """How the ledger names it."""
        return f"data:{self}"


class DataCopy(models.Model):
    """A data set as one node has it."""

    class State(models.TextChoices):
        READY = "ready", "Ready"
        FAILED = "failed", "Not there"

    data_set = models.ForeignKey(DataSet, on_delete=models.CASCADE, related_name="copies")
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="data_copies")
    state = models.CharField(max_length=10, choices=State.choices)
    words = models.CharField(max_length=300, blank=True)
    size = models.PositiveBigIntegerField(default=0, help_text="Bytes of its files.")
    files = models.PositiveIntegerField(default=0)
    checksum = models.CharField(max_length=64, blank=True)
    looked_at = models.DateTimeField()
    asked_at = models.DateTimeField(null=True, help_text="When an administrator asked that it be looked at again.")

    class Meta:
        ordering = ["data_set", "node"]
        verbose_name_plural = "data copies"
        constraints = [models.UniqueConstraint(fields=["data_set", "node"], name="data_copy_once_a_node")]

    def __str__(self) -> str:
        return f"{self.data_set} on {self.node_id}"

    @property
    def differs(self) -> bool:
        """Are its files other ones than those that were measured first?"""
        return bool(self.checksum and self.data_set.checksum and self.checksum != self.data_set.checksum)
