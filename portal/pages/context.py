"""What every template may use."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from labs.announcements.models import Announcement
from labs.fleet.queries import nodes_all
from labs.people.models import User
from portal.banners import banners_of

#: URL name, words and icon of the entries that everybody sees.
NAVIGATION = (
    ("home", "Home", "home"),
    ("files", "Files", "file-text"),
    ("jobs", "Jobs", "rocket"),
    ("gpus", "GPUs", "cpu"),
    ("queue", "Queue", "list-details"),
    ("calendar", "Calendar", "calendar"),
    ("images", "Images", "stack-2"),
    ("usage", "Usage", "chart-bar"),
)
ADMINISTRATION = (
    ("manage", "Overview", "activity"),
    ("manage_people", "People", "users"),
    ("manage_quotas", "Quotas", "adjustments"),
    ("manage_nodes", "Nodes & GPUs", "server-2"),
    ("manage_labs", "Labs", "box"),
    ("manage_images", "Images", "stack-2"),
    ("manage_data", "Data sets", "database"),
    ("manage_groups", "Groups", "hierarchy-2"),
    ("manage_announcements", "Announcements", "speakerphone"),
    ("manage_audit", "Audit", "history"),
)
ACCOUNT = (
    ("account", "Profile", "user-circle"),
    ("account_change_password", "Password", "lock"),
    ("mfa_index", "Two-factor", "shield-lock"),
    ("account_keys", "SSH keys", "key"),
    ("account_tokens", "API tokens", "ticket"),
    ("command_line", "Command line", "terminal-2"),
    ("account_sessions", "Sessions", "device-laptop"),
    ("account_notifications", "Notifications", "mail"),
    ("account_webhooks", "Webhooks", "bolt"),
)


@dataclass(frozen=True, slots=True)
class House:
    """What the whole house must say aloud on every page."""

    simulated: bool
    open: bool


def portal(request: HttpRequest) -> dict[str, Any]:
    """The navigation, and the warnings that stand above every page."""
    match = request.resolver_match
    name = (match.url_name or "") if match else ""
    return {
        "navigation": NAVIGATION,
        "administration": ADMINISTRATION,
        "account_parts": ACCOUNT,
        "in_administration": name.startswith("manage"),
        "page_name": name,
        "campus": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
        "has_mail": settings.HAS_MAIL,
        "house": SimpleLazyObject(_house),
        "announcements": SimpleLazyObject(lambda: _announcements(request)),
    }


def _announcements(request: HttpRequest) -> list[Announcement]:
    """What the reader is told above every page, without what they have put away."""
    if not isinstance(request.user, User):
        return []
    return banners_of(user=request.user, hidden=request.session.get("announcements_hidden", []), now=timezone.now())


def _house() -> House:
    nodes = [(node.probe_kind, node.isolates) for node in nodes_all().prefetch_related(None)]
    return House(simulated=any(kind == "simulated" for kind, _ in nodes), open=any(not isolates for _, isolates in nodes))
