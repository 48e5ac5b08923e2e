"""People, the tree of groups they belong to, and what they identify themselves with."""

from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from labs.people.keys import KINDS


class Role(models.TextChoices):
    """What a person is to the house; limits hang on it."""

    STUDENT = "student", "Student"
    RESEARCHER = "researcher", "Researcher"
    TEACHER = "teacher", "Teacher"
    ADMINISTRATOR = "administrator", "Administrator"


class User(AbstractUser):
    """A person. The e-mail address is the name one signs in with."""

    email = models.EmailField("e-mail address", unique=True)
    display_name = models.CharField(max_length=100)
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.STUDENT)
    uid = models.PositiveIntegerField(unique=True, help_text="The Unix user id that this person's labs run as.")
    passes_not_before = models.DateTimeField(help_text="Passes and sessions made earlier are refused.")

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(Lower("email"), name="user_email_unique"),
            models.CheckConstraint(condition=models.Q(uid__gte=1000), name="user_uid_never_root"),
        ]

    def __str__(self) -> str:
        return self.display_name or self.email

    @property
    def is_administrator(self) -> bool:
        """May this person manage the house? A disabled one may not."""
        return self.is_active and self.role == Role.ADMINISTRATOR

    def set_password(self, raw_password: str | None) -> None:
        """A new password also ends every pass made under the old one."""
        super().set_password(raw_password)
        self.passes_not_before = timezone.now()

    def get_full_name(self) -> str:
        """The name shown to others."""
        return str(self)


class Group(models.Model):
    """A node of the tree organisation > team or course. Limits and shares hang on it."""

    class Kind(models.TextChoices):
        ORGANISATION = "organisation", "Organisation"
        TEAM = "team", "Team"
        COURSE = "course", "Course"

    kind = models.CharField(max_length=20, choices=Kind.choices)
    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=60, unique=True)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="children")
    encrypted_only = models.BooleanField(default=False, db_default=False, help_text="Labs of its people start only on nodes whose workspaces lie encrypted.")

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind="organisation", parent__isnull=True) | ~models.Q(kind="organisation"),
                name="group_organisation_is_a_root",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def words(self) -> str:
        """What it is and its name, in a sentence."""
        return f"{self.get_kind_display().lower()} {self.name}"


class Membership(models.Model):
    """A person in a group."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="memberships")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "group"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.group}"


class SshKey(models.Model):
    """A public key that opens its owner's labs over SSH."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="ssh_keys")
    name = models.CharField(max_length=100)
    comment = models.CharField(max_length=100, blank=True, default="")
    kind = models.CharField(max_length=60)
    public_key = models.TextField()
    fingerprint = models.CharField(max_length=80, unique=True)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name} ({self.fingerprint})"

    @property
    def kind_words(self) -> str:
        """The word that people know its kind by."""
        return KINDS.get(self.kind, self.kind)


class SshHostKey(models.Model):
    """A key by which the SSH gateway is known to people's clients, and when the gateway last said that it has it."""

    public_key = models.TextField()
    fingerprint = models.CharField(max_length=80, unique=True)
    told_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.fingerprint


class ApiToken(models.Model):
    """A bearer token of the API. Only its digest is kept; the secret is shown once."""

    class Scope(models.TextChoices):
        READ = "read", "Read"
        LAUNCH = "launch", "Read and launch"
        ADMIN = "admin", "Administer"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    scope = models.CharField(max_length=10, choices=Scope.choices, default=Scope.LAUNCH)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def is_live(self, now: datetime) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and now < self.expires_at


class Invitation(models.Model):
    """A link by which somebody makes their own account, once."""

    email = models.EmailField()
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.STUDENT)
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.SET_NULL)
    digest = models.CharField(max_length=64, unique=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="invitations")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.email} as {self.role}"


class DeviceLogin(models.Model):
    """A program that waits for its person to approve it. Of its secret only the digest is kept; it lives ten minutes."""

    code = models.CharField(max_length=8, unique=True)
    digest = models.CharField(max_length=64, unique=True)
    client = models.CharField(max_length=100)
    scope = models.CharField(max_length=10, choices=ApiToken.Scope.choices)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="device_logins")
    approved = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    redeemed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.client} ({self.shown})"

    @property
    def shown(self) -> str:
        """The code as people read it."""
        return f"{self.code[:4]}-{self.code[4:]}"


class ApiRequest(models.Model):
    """A request that was answered under a key of its caller's: sent again it is answered alike. The answer may hold a secret, so it is sealed."""

    caller = models.CharField(max_length=64, help_text="A digest of the token that asked.")
    key = models.CharField(max_length=80)
    asked = models.CharField(max_length=64, help_text="A digest of the address and the body.")
    status = models.PositiveSmallIntegerField(default=0)
    answer_sealed = models.TextField(blank=True)
    made_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["made_at"], name="api_request_age")]
        constraints = [models.UniqueConstraint(fields=["caller", "key"], name="api_request_once")]

    def __str__(self) -> str:
        return f"{self.key} {self.status}"
