"""Messages to people, how far each is on its way, and what each person chose."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from labs.notices.kinds import CHANNELS


class Notice(models.Model):
    """Something that one person is told, once. `until` is when nobody needs it any more."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=20)
    subject = models.CharField(max_length=200)
    words = models.TextField()
    url = models.CharField(max_length=300, blank=True, help_text="A path of the portal.")
    key = models.CharField(max_length=120, blank=True, help_text="The same key tells the same person once.")
    queued_at = models.DateTimeField()
    until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-queued_at", "-pk"]
        indexes = [
            models.Index(fields=["user", "-queued_at"], name="notice_user"),
            models.Index(fields=["queued_at"], name="notice_age"),
        ]
        constraints = [models.UniqueConstraint(fields=["user", "key"], condition=~Q(key=""), name="notice_once")]

    def __str__(self) -> str:
        return self.subject


class Delivery(models.Model):
    """A notice on its way by one channel."""

    class State(models.TextChoices):
        WAITING = "waiting", "On its way"
        SENT = "sent", "Sent"
        FAILED = "failed", "Not sent"

    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="deliveries")
    channel = models.CharField(max_length=10, choices=list(CHANNELS.items()))
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["next_try_at"], condition=Q(state="waiting"), name="delivery_waiting")]
        constraints = [models.UniqueConstraint(fields=["notice", "channel"], name="delivery_once_a_channel")]

    def __str__(self) -> str:
        return f"{self.notice_id} by {self.channel}"


class Choice(models.Model):
    """What a person switched off or on again. Without a row a kind is sent."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notice_choices")
    kind = models.CharField(max_length=20)
    mail = models.BooleanField(default=True)
    webhook = models.BooleanField(default=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "kind"], name="notice_choice_once")]

    def __str__(self) -> str:
        return f"{self.kind} for {self.user_id}"


class Webhook(models.Model):
    """A person's chat address. The address is a secret in itself: it is kept sealed and never shown again."""

    class Shape(models.TextChoices):
        SLACK = "slack", "Slack (also Mattermost, Rocket.Chat)"
        DINGTALK = "dingtalk", "DingTalk"
        WECOM = "wecom", "WeCom"

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="webhook")
    shape = models.CharField(max_length=10, choices=Shape.choices)
    host = models.CharField(max_length=255)
    url_sealed = models.TextField()
    secret_sealed = models.TextField(blank=True, help_text="The signing secret, where the shape has one.")
    made_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.get_shape_display()} at {self.host}"
