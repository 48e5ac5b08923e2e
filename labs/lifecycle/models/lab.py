"""Labs, their leases and what belongs to one lab alone."""

import secrets
from datetime import datetime
from ipaddress import IPv4Network

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from labs.catalogue.models import Image
from labs.fleet.models import Gpu, Node
from labs.lifecycle import states
from labs.timetable.models import Meeting, hold_id

ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
#: A lab's name is also its SSH user name and part of a host name.
name_validator = RegexValidator(
    r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?\Z", "1 to 32 small letters, digits and hyphens, beginning with a letter and not ending with a hyphen."
)


def new_lab_id() -> str:
    """60 random bits in characters that a DNS label allows."""
    return "".join(secrets.choice(ID_ALPHABET) for _ in range(12))


class Lab(models.Model):
    """A person's lab: what was wished (`target`), what is (`state`), and everything in between."""

    class Target(models.TextChoices):
        RUNNING = "running", "Running"
        STOPPED = "stopped", "Stopped"

    id = models.CharField(primary_key=True, max_length=12, default=new_lab_id, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="labs")
    name = models.CharField(max_length=32, validators=[name_validator])
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="labs")

    gpus = models.PositiveSmallIntegerField()
    gpu_model = models.CharField(max_length=96, blank=True)
    cpus = models.PositiveSmallIntegerField()
    memory_mib = models.PositiveIntegerField()
    shm_mib = models.PositiveIntegerField()
    pids = models.PositiveIntegerField()
    hours = models.PositiveSmallIntegerField()
    next_gpus = models.PositiveSmallIntegerField(null=True, help_text="GPUs that a running lab waits for; its next attempt has them.")
    next_gpu_model = models.CharField(max_length=96, blank=True)
    ask_first = models.BooleanField(default=False, help_text="When its turn comes its cards are held, and its owner is asked.")
    may_borrow = models.BooleanField(default=True, help_text="May take free cards beyond its owner's guarantee, which can be taken back.")

    wants_slice = models.CharField(max_length=40, blank=True, help_text="One MIG slice instead of a card: its profile, or any. Then gpus is 1.")
    requeue = models.BooleanField(default=True, help_text="Queue it again when its cards were taken back.")
    requeued_from = models.OneToOneField("self", null=True, on_delete=models.SET_NULL, related_name="requeued_as")
    over_quota = models.BooleanField(default=False, help_text="Its cards are beyond its owner's guarantee: they may be taken back.")

    meeting = models.ForeignKey(Meeting, null=True, on_delete=models.PROTECT, related_name="labs", help_text="The class whose cards it runs on.")
    entered_at = models.DateTimeField(null=True, help_text="When somebody first came into it: by browser, token or SSH.")

    command = models.JSONField(default=list, help_text="A job's program and its arguments; empty for a lab that somebody works in.")
    folder = models.CharField(max_length=200, blank=True, help_text="Where a job begins, below the workspace.")
    data = models.JSONField(default=list, blank=True, help_text="Data sets that must be where it runs.")
    exit_code = models.SmallIntegerField(null=True, help_text="How a job's program ended.")

    target = models.CharField(max_length=10, choices=Target.choices, default=Target.RUNNING)
    state = models.CharField(max_length=10, choices=list(states.WORDS.items()), default=states.QUEUED)
    stage = models.CharField(max_length=20, blank=True)
    stage_words = models.CharField(max_length=200, blank=True)
    attempt = models.PositiveSmallIntegerField(default=1)
    tries = models.PositiveSmallIntegerField(default=0, help_text="Starts that the engine failed in this attempt.")
    try_at = models.DateTimeField(null=True)
    node = models.ForeignKey(Node, null=True, on_delete=models.PROTECT, related_name="labs")
    reason_code = models.CharField(max_length=30, blank=True)
    reason = models.TextField(blank=True)

    requested_at = models.DateTimeField()
    counts_from = models.DateTimeField(null=True, help_text="Since when the queue counts its wait, where that is not when it was asked for.")
    state_since = models.DateTimeField()
    deadline_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    idempotency_key = models.CharField(max_length=80, blank=True)

    jupyter_host = models.CharField(max_length=64, blank=True)
    jupyter_port = models.PositiveIntegerField(null=True)
    ssh_host = models.CharField(max_length=64, blank=True)
    ssh_port = models.PositiveIntegerField(null=True)
    inside_host = models.CharField(max_length=64, blank=True, help_text="The host at which the ports of its own programs answer, seen from its node.")
    verified = models.JSONField(default=dict)
    not_held = models.JSONField(default=list)
    notices = models.JSONField(default=list, help_text="What its owner should know while it runs: {at, code, words}.")
    oom_kills = models.PositiveIntegerField(default=0, help_text="Processes of this attempt killed for memory that its owner was told of.")
    degraded = models.CharField(max_length=300, blank=True, help_text="What it has lost while it runs, in words, and what its owner can do.")
    own_torch = models.CharField(max_length=40, blank=True, help_text="The version of torch that its user installed over the image's own.")
    log_tail = models.TextField(blank=True)

    class Meta:
        ordering = ["-requested_at"]
        indexes = [
            models.Index(fields=["state", "requested_at"], name="lab_queue"),
            models.Index(fields=["owner", "-requested_at"], name="lab_owner"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], condition=Q(state__in=states.LIVE), name="lab_name_once_a_person"),
            models.UniqueConstraint(fields=["owner", "idempotency_key"], condition=~Q(idempotency_key=""), name="lab_request_once"),
            models.UniqueConstraint(fields=["owner", "meeting"], condition=Q(state__in=states.LIVE, meeting__isnull=False), name="lab_once_a_class"),
            models.CheckConstraint(condition=Q(state__in=list(states.WORDS)), name="lab_state_known"),
            models.CheckConstraint(condition=Q(shm_mib__lte=models.F("memory_mib")), name="lab_shm_within_memory"),
            models.CheckConstraint(condition=Q(cpus__gte=1, memory_mib__gte=256, hours__gte=1), name="lab_sizes_positive"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_live(self) -> bool:
        """Not ended yet."""
        return self.state in states.LIVE

    @property
    def gpu_words(self) -> str:
        """The GPUs of its present attempt: `2 GPUs NVIDIA H200`, `a slice of a GPU (1g.10gb)`, `no GPU`."""
        if self.wants_slice:
            return "a slice of a GPU" + (f" ({self.wants_slice})" if self.wants_slice != "any" else "")
        return _gpu_words(self.gpus, self.gpu_model)

    @property
    def asked_words(self) -> str:
        """The GPUs that it waits for: a running one, those of its next attempt."""
        later = self.state == states.RUNNING and self.next_gpus is not None
        return _gpu_words(self.next_gpus or 0, self.next_gpu_model) if later else self.gpu_words

    @property
    def waits(self) -> bool:
        """Does it stand in the queue: to start, or, while it runs, for the GPUs of its next attempt?"""
        return self.state == states.QUEUED or (self.state == states.RUNNING and self.next_gpus is not None)

    @property
    def waits_since(self) -> datetime:
        """Since when the queue counts its wait: what it waited before its cards were taken back counts on, what it ran before it asked for GPUs does not."""
        return self.counts_from or self.requested_at

    @property
    def is_job(self) -> bool:
        """Does it run one program and end with it, instead of being worked in?"""
        return bool(self.command)

    @property
    def output_folder(self) -> str:
        """Where a job's log and results are kept, below the workspace."""
        return f"jobs/{self.name}-{self.id}" if self.is_job else ""

    @property
    def subject(self) -> str:
        """How the ledger names it."""
        return f"lab:{self.id}"

    @property
    def hold_id(self) -> str:
        """The scheduler's name for the cards of its class; empty for a lab of its own."""
        return hold_id(self.meeting_id)

    @property
    def base_url(self) -> str:
        """The path under which its Jupyter serves."""
        return f"/l/{self.id}/"

    @property
    def state_words(self) -> str:
        """The state as people read it."""
        return states.WORDS[self.state]

    @property
    def end(self) -> states.End | None:
        """The typed reason, once there is one."""
        return states.ENDS.get(self.reason_code)


def _gpu_words(count: int, model: str) -> str:
    words = {0: "no GPU", 1: "1 GPU"}.get(count, f"{count} GPUs")
    return f"{words} {model}" if model else words


class Lease(models.Model):
    """A card held by one attempt of a lab. The database refuses a second open lease on a card."""

    lab = models.ForeignKey(Lab, on_delete=models.PROTECT, related_name="leases")
    gpu = models.ForeignKey(Gpu, on_delete=models.PROTECT, related_name="leases")
    attempt = models.PositiveSmallIntegerField()
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["lab", "closed_at"], name="lease_lab")]
        constraints = [
            models.UniqueConstraint(fields=["gpu"], condition=Q(closed_at__isnull=True), name="lease_open_once_a_gpu"),
        ]

    def __str__(self) -> str:
        return f"{self.gpu_id} to {self.lab_id}"


class LabToken(models.Model):
    """A bearer token with which a desktop client reaches one lab's Jupyter. Only its digest is kept."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class PersonNetwork(models.Model):
    """A person's slot in a node's range of networks: their own /28, given by us because engines run out at about 30."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="networks")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="networks")
    slot = models.PositiveIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["node", "owner"], name="network_once_a_person"),
            models.UniqueConstraint(fields=["node", "slot"], name="network_slot_once"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.subnet}"

    @property
    def name(self) -> str:
        """The engine's name for it."""
        return f"gpulab-{self.node.realm}-p{self.owner_id}"

    @property
    def subnet(self) -> str:
        """CIDR of its /28."""
        whole: IPv4Network = settings.NETWORK_RANGE
        return f"{whole.network_address + self.slot * 16}/28"


def is_past(moment: datetime | None, now: datetime) -> bool:
    """Has the moment come? None never comes."""
    return moment is not None and moment <= now
