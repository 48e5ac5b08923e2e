"""How hosts become nodes: the house's authority, tokens that are used once, and what each node signs in with."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from labs.fleet.models import Node


class Authority(models.Model):
    """The house's own authority over certificates, made at the first join. Its key can be used only with the house's secret."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    certificate = models.TextField(help_text="PEM.")
    key_sealed = models.TextField()
    made_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="authority_is_one")]

    def __str__(self) -> str:
        return f"since {self.made_at:%F}"


class JoinToken(models.Model):
    """Lets one host become the node of that name, once, within the hour. Only its digest is kept."""

    node_id = models.SlugField(max_length=40)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-made_at"]
        constraints = [
            models.UniqueConstraint(fields=["node_id"], condition=Q(used_at__isnull=True, withdrawn_at__isnull=True), name="join_token_open_once_a_node"),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}…"


class Credential(models.Model):
    """What a joined node signs in with: its role in the database, its user of the broker, its certificate. One a node."""

    node = models.OneToOneField(Node, primary_key=True, on_delete=models.CASCADE, related_name="credential")
    role = models.CharField(max_length=63, unique=True, help_text="In the database; the broker's user has the same name.")
    broker_digest = models.CharField(max_length=64, help_text="SHA-256 of the broker's password, so that a broker that forgot it is told again.")
    certificate = models.TextField(help_text="PEM.")
    made_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.role
