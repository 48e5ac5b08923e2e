"""Templates, their versions, and the labs that were started from them."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from labs.catalogue.models import Image
from labs.fleet.models import Node
from labs.lifecycle.models import Lab
from labs.people.models import Group
from labs.starters.rules import ROOT, Needs


class Template(models.Model):
    """What a lab can begin with. What it is made of is in its versions; for everybody, or for a group with all below it."""

    slug = models.CharField(max_length=40, unique=True)
    title = models.CharField(max_length=80)
    summary = models.CharField(max_length=300)
    minutes = models.PositiveSmallIntegerField(help_text="How long it takes to work through, or to run.")
    shipped = models.BooleanField(default=False, help_text="It comes with GPU Lab.")
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="templates")
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="templates")
    made_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-shipped", "made_at", "pk"]
        constraints = [models.CheckConstraint(condition=Q(shipped=False) | Q(group__isnull=True), name="template_shipped_for_everybody")]

    def __str__(self) -> str:
        return self.title

    @property
    def subject(self) -> str:
        """How the ledger names it."""
        return f"template:{self.slug}"

    @property
    def audience(self) -> str:
        """For whom, in words."""
        return str(self.group) if self.group_id else "everybody"


class Version(models.Model):
    """One state of a template. It never changes: what is new is a new version, in a folder of its own."""

    template = models.ForeignKey(Template, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveSmallIntegerField()
    url = models.CharField(max_length=300, blank=True, help_text="The git repository that the lab fetches; empty for files that GPU Lab ships.")
    commit = models.CharField(max_length=40, blank=True)
    digest = models.CharField(max_length=64, blank=True, help_text="Of shipped files, and of those of a folder: SHA-256 over names and contents.")
    home_node = models.CharField(max_length=64, blank=True, help_text="The node of the workspace that its files were copied from.")
    home_folder = models.CharField(max_length=200, blank=True, help_text="The folder that they were copied from, below its maker's workspace.")
    first = models.CharField(max_length=200, blank=True, help_text="The notebook to open, below the template's folder.")
    image = models.ForeignKey(Image, null=True, blank=True, on_delete=models.PROTECT, related_name="templates", help_text="None: the newest that runs here.")
    cuda = models.CharField(max_length=20, blank=True, help_text="The least CUDA of the newest image; empty for any.")
    gpus = models.PositiveSmallIntegerField()
    least_gpus = models.PositiveSmallIntegerField()
    cpus = models.PositiveSmallIntegerField()
    memory_gib = models.PositiveSmallIntegerField()
    shm_gib = models.PositiveSmallIntegerField(null=True, blank=True)
    hours = models.PositiveSmallIntegerField()
    data = models.JSONField(default=list, blank=True, help_text="Data sets that it reads below /data.")
    note = models.CharField(max_length=200, blank=True, help_text="What is new in it.")
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    made_at = models.DateTimeField()

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["template", "number"], name="template_version_once"),
            models.CheckConstraint(condition=Q(url="") ^ Q(digest=""), name="template_version_from_git_or_shipped"),
            models.CheckConstraint(condition=Q(least_gpus__lte=models.F("gpus")), name="template_least_gpus_within_gpus"),
        ]

    def __str__(self) -> str:
        return f"{self.template} (version {self.number})"

    @property
    def folder(self) -> str:
        """Where its files are put, below the workspace."""
        return f"{ROOT}/{self.template.slug}-v{self.number}"

    @property
    def needs(self) -> Needs:
        """Its sizes."""
        return Needs(self.gpus, self.least_gpus, self.cpus, self.memory_gib, self.hours, self.shm_gib)


class Start(models.Model):
    """A lab that was started from a template: the wish for its files, and what came of it."""

    class State(models.TextChoices):
        WANTED = "wanted", "Its files are on their way"
        READY = "ready", "Its files are there"
        FAILED = "failed", "Its files could not be put there"

    lab = models.OneToOneField(Lab, on_delete=models.CASCADE, related_name="start")
    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="starts")
    state = models.CharField(max_length=10, choices=State.choices, default=State.WANTED)
    tries = models.PositiveSmallIntegerField(default=0)
    words = models.CharField(max_length=400, blank=True, help_text="What its owner should know: what was kept, what is missing, why it failed.")
    opens = models.CharField(max_length=300, blank=True, help_text="The notebook that Open leads to, below the workspace.")
    asked_at = models.DateTimeField()
    state_since = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["state"], condition=Q(state="wanted"), name="start_wanted")]

    def __str__(self) -> str:
        return f"{self.version} in {self.lab_id}"

    @property
    def opens_name(self) -> str:
        """The notebook's own name."""
        return self.opens.rpartition("/")[2]


class Parcel(models.Model):
    """A folder of somebody's workspace that is copied once, to become a version's files. Kept for a day."""

    class State(models.TextChoices):
        ASKED = "asked", "Being copied"
        READY = "ready", "Copied"
        FAILED = "failed", "Not copied"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="parcels")
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="parcels")
    folder = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State.choices, default=State.ASKED)
    words = models.CharField(max_length=400, blank=True, help_text="Why it was not copied, or what was left out.")
    files = models.JSONField(default=list, help_text="Names of the files.")
    warnings = models.JSONField(default=list, help_text="What looks like a secret in them, in words.")
    size = models.PositiveIntegerField(default=0, help_text="Bytes of the files.")
    digest = models.CharField(max_length=64, blank=True)
    content = models.BinaryField(null=True, help_text="The files as a zip.")
    asked_at = models.DateTimeField()
    state_since = models.DateTimeField()

    class Meta:
        ordering = ["-asked_at", "-pk"]
        constraints = [models.UniqueConstraint(fields=["owner", "node", "folder"], condition=Q(state="asked"), name="parcel_once_at_a_time")]

    def __str__(self) -> str:
        return f"{self.folder} on {self.node_id}"


class Bundle(models.Model):
    """The files of a version that was made of a folder: a copy of its own, which nobody writes again."""

    version = models.OneToOneField(Version, on_delete=models.CASCADE, related_name="bundle")
    content = models.BinaryField()

    def __str__(self) -> str:
        return f"the files of {self.version_id}"
