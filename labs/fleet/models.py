"""Nodes, their cards, and which images they hold."""

import secrets
from collections.abc import Mapping

from django.db import models

from labs.catalogue.models import Image
from labs.fleet.rules import plain_words
from labs.fleet.versions import VERSION_CHECK

#: The check that says whether people's files lie encrypted on a node.
AT_REST_CHECK = "encryption at rest"


def new_realm() -> str:
    """Names what this installation has on an engine: another one on the same engine has another realm."""
    return secrets.token_hex(4)


class Node(models.Model):
    """A host that runs labs."""

    class State(models.TextChoices):
        READY = "ready", "Ready"
        CORDONED = "cordoned", "Cordoned: takes no new lab"
        DRAINING = "draining", "Draining: its labs end at a set time"
        UNKNOWN = "unknown", "Unknown: no sign of life"
        GONE = "gone", "Gone: given up by an administrator"

    id = models.SlugField(primary_key=True, max_length=40)
    name = models.CharField(max_length=100)
    realm = models.CharField(max_length=8, unique=True, default=new_realm, editable=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.READY)
    state_before = models.CharField(max_length=10, blank=True, help_text="What it was before it fell silent, and is again when it is heard.")
    drain_until = models.DateTimeField(null=True, blank=True, help_text="When the labs on it end, while it is drained.")
    drain_words = models.CharField(max_length=300, blank=True, help_text="Why, for the people on it.")
    joined_at = models.DateTimeField(null=True, blank=True, help_text="When it joined with a token; null for a node that has the house's own secret.")
    relay_address = models.CharField(max_length=100, blank=True, help_text="host:port where the house's relay reaches this node's; empty: on the same host.")
    runtime = models.CharField(max_length=10, blank=True)
    runtime_words = models.TextField(blank=True)
    isolates = models.BooleanField(default=True)
    gpu_ready = models.BooleanField(default=False)
    probe_kind = models.CharField(max_length=12, blank=True)
    probe_words = models.TextField(blank=True)
    driver = models.CharField(max_length=40, blank=True)
    cuda = models.CharField(max_length=20, blank=True)
    engine_version = models.CharField(max_length=60, blank=True)
    cpus = models.PositiveIntegerField(default=0)
    memory_mib = models.PositiveIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True)
    checks = models.JSONField(default=list)
    encrypts = models.BooleanField(null=True, blank=True, help_text="Whether what people keep there lies encrypted; null where that cannot be told.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_red(self) -> bool:
        """A promise to people is not kept on this host: no new labs."""
        return any(check.get("state") == "red" and not _of_version(check) for check in self.checks)

    @property
    def at_rest(self) -> str:
        """Whether people's files lie encrypted on its disk, in words; empty before it has said so."""
        return next((str(check["words"]) for check in self.checks if check["name"] == AT_REST_CHECK), "")

    @property
    def plain_words(self) -> str:
        """Why its workspaces do not count as encrypted, for the middle of a sentence; empty where they lie encrypted."""
        return plain_words(self.encrypts)

    @property
    def unsafe_words(self) -> str:
        """Why only the house's own images start labs here, with the fix: a version with a known way out of a container. Else empty."""
        return " ".join(f"{check['words']} {check['fix']}" for check in self.checks if check.get("state") == "red" and _of_version(check))


def _of_version(check: Mapping[str, str]) -> bool:
    return check["name"].startswith(VERSION_CHECK)


class Gpu(models.Model):
    """A card, or a MIG slice of one, identified by its UUID, never by its index. A card in MIG mode is no unit itself: its slices are."""

    class Health(models.TextChoices):
        OK = "ok", "Healthy"
        UNKNOWN = "unknown", "Not answering"
        HELD = "held", "Held back"
        DRAINED = "drained", "Taken out of service"
        RETIRED = "retired", "To be replaced"

    uuid = models.CharField(primary_key=True, max_length=96)
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="gpus")
    index = models.PositiveIntegerField()
    model = models.CharField(max_length=96)
    memory_mib = models.PositiveIntegerField(default=0)
    compute_capability = models.CharField(max_length=8, blank=True)
    health = models.CharField(max_length=10, choices=Health.choices, default=Health.OK)
    health_words = models.TextField(blank=True)
    misses = models.PositiveSmallIntegerField(default=0)
    simulated = models.BooleanField(default=False)
    mig = models.BooleanField(default=False, help_text="In MIG mode: its slices are given out, the card itself is not.")
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="slices", help_text="The card that a slice is of.")
    profile = models.CharField(max_length=40, blank=True, help_text="The MIG profile of a slice, such as 1g.18gb.")
    share = models.FloatField(default=1.0, help_text="What it counts for: 1 for a card, its fraction for a slice.")
    pci = models.CharField(max_length=20, blank=True, help_text="Where it is on the bus, as the kernel's log names it: 0000:3b:00.")
    baseline_mib = models.PositiveIntegerField(null=True, blank=True, help_text="Its memory in use when nobody has it, as a quiet reading showed it.")
    ecc_errors = models.PositiveBigIntegerField(null=True, blank=True, help_text="Errors of its memory since the last reset that could not be corrected.")
    held_since = models.DateTimeField(null=True, blank=True, help_text="Since when it waits for a clean reading: no lab is placed on it before.")
    place = models.JSONField(default=list, blank=True, help_text="Where it sits, outermost first: cards that share more of it are nearer.")

    class Meta:
        ordering = ["node", "index", "-share", "uuid"]
        constraints = [models.CheckConstraint(condition=models.Q(share__gt=0, share__lte=1), name="gpu_share_is_a_part_of_a_card")]

    def __str__(self) -> str:
        return f"{self.model} {self.profile} {self.uuid[:12]}" if self.profile else f"{self.model} {self.uuid[:12]}"

    @property
    def short_uuid(self) -> str:
        """Enough of the UUID to tell cards apart by eye."""
        return self.uuid.removeprefix("GPU-").removeprefix("MIG-")[:8]


class NodeImage(models.Model):
    """Does the node hold the image? A lab is placed only where it does."""

    class State(models.TextChoices):
        ABSENT = "absent", "Not there"
        PULLING = "pulling", "Being prepared"
        PRESENT = "present", "Ready"
        FAILED = "failed", "Failed"

    class Spare(models.TextChoices):
        """What the house, which sees classes to come, tells a node that cannot."""

        UNUSED = "unused", "May go"
        FULL = "full", "May go where the disk fills"

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="images")
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="on_nodes")
    state = models.CharField(max_length=10, choices=State.choices, default=State.ABSENT)
    percent = models.PositiveSmallIntegerField(default=0)
    words = models.TextField(blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    layers = models.JSONField(default=list, blank=True, help_text="Of a pull: each layer with its bytes.")
    spare = models.CharField(max_length=10, choices=Spare.choices, blank=True)
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["node", "image"], name="node_image_once")]

    def __str__(self) -> str:
        return f"{self.image} on {self.node}: {self.state}"


class DrainTold(models.Model):
    """A container whose programs know that its node is drained, and until when."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="told")
    container = models.CharField(max_length=128)
    until = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["node", "container"], name="drain_told_once_a_container")]

    def __str__(self) -> str:
        return f"{self.container} until {self.until:%F %T}"
