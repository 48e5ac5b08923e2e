"""What every template may use."""

from typing import Any

from django.http import HttpRequest

from labs.fleet.queries import nodes_all

#: URL name, words and icon of the entries that everybody sees.
NAVIGATION = (
    ("home", "Home", "home"),
    ("gpus", "GPUs", "cpu"),
    ("queue", "Queue", "list-details"),
    ("images", "Images", "stack-2"),
)
ADMINISTRATION = (
    ("manage", "Overview", "activity"),
    ("manage_people", "People", "users"),
    ("manage_quotas", "Quotas", "adjustments"),
    ("manage_nodes", "Nodes & GPUs", "server-2"),
    ("manage_labs", "Labs", "box"),
    ("manage_images", "Images", "stack-2"),
    ("manage_groups", "Groups", "hierarchy-2"),
    ("manage_audit", "Audit", "history"),
)


def portal(request: HttpRequest) -> dict[str, Any]:
    """The navigation, and what the whole house must say aloud (labs that are not isolated from each other)."""
    return {"navigation": NAVIGATION, "administration": ADMINISTRATION, "house_nodes": nodes_all}
