"""Lab images, by digest, and what came of trying them out on cards."""

from datetime import date

from django.db import models

from labs.people.models import Group, User


class Image(models.Model):
    """One image that labs can be started from. A digest never changes; a new build is a new row."""

    class Runtime(models.TextChoices):
        DOCKER = "docker", "Container image"
        PROCESS = "process", "Environment of this machine"

    class Keeping(models.TextChoices):
        NEEDED = "needed", "On nodes where a lab asks for it"
        ALWAYS = "always", "On every node, always"

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
    keeping = models.CharField(max_length=10, choices=Keeping.choices, default=Keeping.NEEDED)
    deprecated_on = models.DateField(null=True, blank=True, help_text="From that day on no new lab starts from it.")
    roles = models.JSONField(default=list, blank=True, help_text="Who may use it, by role. Neither roles nor groups: everybody.")
    groups = models.ManyToManyField(Group, blank=True, related_name="images", help_text="Groups whose people may use it, those below them too.")
    replaces = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="replaced_by", help_text="It is this one, made anew.")
    inside = models.JSONField(default=dict, blank=True, help_text="What was read in the image itself.")
    inside_words = models.TextField(blank=True, help_text="What is wrong with it, as it was seen from inside.")
    is_fit = models.BooleanField(default=True, help_text="It can be a lab: Jupyter is in it.")
    looked_at = models.DateTimeField(null=True, blank=True)
    tag_digest = models.CharField(max_length=80, blank=True, help_text="What the registry has under the tag now.")
    tag_checked_at = models.DateTimeField(null=True, blank=True)
    findings = models.JSONField(default=dict, blank=True, help_text="Of a scanner's report that an administrator gave us.")
    scanned_at = models.DateTimeField(null=True, blank=True)
    made_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="made_images", help_text="Whose own it is; empty: the house's."
    )
    made_from = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="made_on_it", help_text="The image that its layer lies on."
    )
    note = models.TextField(blank=True, help_text="What its maker says of it.")
    size_before = models.PositiveBigIntegerField(default=0, help_text="Bytes of the image that its layer lies on.")
    size_after = models.PositiveBigIntegerField(default=0, help_text="Bytes of it all.")

    class Meta:
        ordering = ["title"]
        constraints = [
            models.CheckConstraint(condition=~models.Q(tag="latest"), name="image_tag_is_never_latest"),
            models.UniqueConstraint(fields=["made_by", "title"], condition=models.Q(is_active=True, made_by__isnull=False), name="image_name_once_a_person"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def reference(self) -> str:
        """What an engine is asked for: by digest as soon as one is known, so that a moved tag changes nothing."""
        if self.runtime == self.Runtime.DOCKER and self.digest:
            return f"{self.repository}@{self.digest}" if self.pulled else self.digest
        return self.name

    @property
    def name(self) -> str:
        """Repository and tag."""
        return f"{self.repository}:{self.tag}"

    @property
    def layer_size(self) -> int:
        """Bytes that it adds to the image that it was made from."""
        return max(self.size_after - self.size_before, 0)

    @property
    def moved(self) -> bool:
        """The tag means another image now than the one that labs get."""
        return self.pulled and bool(self.tag_digest) and self.tag_digest != self.digest

    def is_past(self, today: date) -> bool:
        """Its time is over: no new lab starts from it."""
        return self.deprecated_on is not None and self.deprecated_on <= today


class Contents(models.Model):
    """The packages of an image, as they were read in it: what its list of packages (SBOM) is made of."""

    image = models.OneToOneField(Image, primary_key=True, on_delete=models.CASCADE, related_name="contents")
    packages = models.JSONField(default=list, help_text="Each a name, a version, a kind (python or debian) and a licence.")
    read_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{len(self.packages)} packages of {self.image_id}"


class Qualification(models.Model):
    """An image tried out on a kind of card (or on the CPU alone), in a lab of its own. The last one that came to an end counts."""

    class State(models.TextChoices):
        ASKED = "asked", "Being tried"
        PASSED = "passed", "Verified"
        FAILED = "failed", "Failed"
        VOID = "void", "Not finished"

    CPU = "CPU"

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="qualifications")
    digest = models.CharField(max_length=80)
    card = models.CharField(max_length=96, help_text="The card's model, or CPU.")
    driver = models.CharField(max_length=40, blank=True)
    node = models.CharField(max_length=40, blank=True)
    lab = models.CharField(max_length=40, help_text="The id of the lab in which it is tried.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.ASKED)
    words = models.TextField(blank=True)
    report = models.JSONField(default=dict, blank=True)
    asked_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    asked_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-asked_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["image", "card"], condition=models.Q(state="asked"), name="one_open_qualification_of_image_and_card"),
        ]
