"""Every way into the house, read from the house itself: the paths of pages and API, the websockets, and the relay's own."""

import re
from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, get_resolver

from portal.live.routing import websocket_urlpatterns

#: Django's admin writes out the same dozen paths for every record; they are one row.
ADMIN = "admin/"
PART = re.compile(r"<(?:(?P<kind>[a-z_]+):)?(?P<name>[a-z0-9_]+)>")
GROUP = re.compile(r"\(\?P<(?P<name>\w+)>[^)]*\)")


def http_routes() -> list[str]:
    """Each path of the URLconf, as it is written there; those of the records are `admin/*`."""
    found = dict.fromkeys(_walk(get_resolver().url_patterns, ""))
    kept = [route for route in found if not route.startswith(ADMIN)]
    return [*kept, f"{ADMIN}*"]


def admin_routes() -> list[str]:
    """What `admin/*` stands for."""
    return [route for route in dict.fromkeys(_walk(get_resolver().url_patterns, "")) if route.startswith(ADMIN)]


def socket_routes() -> list[str]:
    """Each path of the websockets."""
    return [str(each.pattern) for each in websocket_urlpatterns]


def filled(route: str, values: dict[str, str]) -> str:
    """The path with every part in angles filled in, such as /labs/k3x9/stop/. KeyError names a part that the world lacks."""
    route = GROUP.sub(lambda found: values[found["name"]], route.removesuffix("\\Z").removesuffix("$"))
    return "/" + PART.sub(lambda found: values[found["name"]], route.replace("^", "").replace("\\", ""))


def _walk(patterns: list[URLPattern | URLResolver], above: str) -> Iterator[str]:
    for each in patterns:
        if isinstance(each, URLResolver):
            yield from _walk(each.url_patterns, above + str(each.pattern))
        else:
            yield above + str(each.pattern)
