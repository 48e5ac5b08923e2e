"""How much people's workspaces hold, as it was measured on each node."""

from django.conf import settings
from django.db import models

from labs.fleet.models import Node


class WorkspaceUse(models.Model):
    """One person's workspace on one node, as it was measured last."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="workspaces")
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="workspaces")
    size = models.PositiveBigIntegerField(help_text="Bytes of the disk that it takes.")
    models_size = models.PositiveBigIntegerField(default=0, help_text="Bytes of it that are models over the node's; they stay when the workspace moves.")
    files = models.PositiveIntegerField(null=True, help_text="Files and folders; null where only the engine can measure it.")
    whole = models.BooleanField(default=True, help_text="False where the time was up, or a folder could not be read: there is more.")
    measured_at = models.DateTimeField()
    asked_at = models.DateTimeField(null=True, help_text="When its owner asked that it be measured again.")

    class Meta:
        ordering = ["owner", "node"]
        constraints = [models.UniqueConstraint(fields=["owner", "node"], name="workspace_use_once_a_node")]

    def __str__(self) -> str:
        return f"{self.owner_id} on {self.node_id}"

    @property
    def mib(self) -> int:
        """Its size, rounded up: what is there is never nothing."""
        return -(-self.size // 1024**2)


class DiskLevel(models.Model):
    """The percentage of the limit of which a person was told last."""

    owner = models.OneToOneField(settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE, related_name="disk_level")
    level = models.PositiveSmallIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.owner_id}: {self.level}%"
