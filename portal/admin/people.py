"""People, groups and what they identify themselves with."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from labs.people.models import ApiToken, Group, Invitation, Membership, SshKey, User
from labs.people.services import person_disable, person_enable, token_revoke
from portal.admin.base import ReadOnly, actor_of, each


@admin.register(User)
class UserAdmin(ReadOnly):
    """Accounts. They are made and changed under Admin, People."""

    list_display = ("email", "display_name", "role", "uid", "is_active", "last_login")
    list_filter = ("role", "is_active")
    search_fields = ("email", "display_name")
    exclude = ("password", "groups", "user_permissions", "first_name", "last_name")
    actions = ("disable", "enable")

    @admin.action(description="Disable")
    def disable(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Shut every door to the chosen people."""
        actor, now = actor_of(request), timezone.now()
        each(request, queryset, lambda user: person_disable(user=user, actor=actor, now=now), done="Disabled")

    @admin.action(description="Enable again")
    def enable(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Let the chosen people in again."""
        actor, now = actor_of(request), timezone.now()
        each(request, queryset, lambda user: person_enable(user=user, actor=actor, now=now), done="Enabled")


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnly):
    """API tokens, without their secrets."""

    list_display = ("name", "prefix", "user", "scope", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_filter = ("scope",)
    exclude = ("digest",)
    list_select_related = ("user",)
    actions = ("revoke",)

    @admin.action(description="Revoke")
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """Revoke the chosen tokens."""
        now = timezone.now()
        each(request, queryset.select_related("user"), lambda token: token_revoke(user=token.user, token_id=token.pk, now=now), done="Revoked")


@admin.register(SshKey)
class SshKeyAdmin(ReadOnly):
    """Public keys."""

    list_display = ("name", "fingerprint", "user", "created_at", "last_used_at")
    search_fields = ("fingerprint", "user__email")
    list_select_related = ("user",)


@admin.register(Invitation)
class InvitationAdmin(ReadOnly):
    """Invitations, open and accepted."""

    list_display = ("email", "role", "group", "created_by", "created_at", "expires_at", "accepted_at")
    exclude = ("digest",)
    list_select_related = ("group", "created_by")


@admin.register(Group)
class GroupAdmin(ReadOnly):
    """The tree."""

    list_display = ("name", "kind", "parent", "slug")
    list_filter = ("kind",)


@admin.register(Membership)
class MembershipAdmin(ReadOnly):
    """Who is in which group."""

    list_display = ("user", "group")
    list_filter = ("group",)
    list_select_related = ("user", "group")
