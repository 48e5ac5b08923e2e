"""What is sent to a path whose form or body is looked at before the person is: enough to pass, so that a refusal is one of the person."""

import json
from datetime import date, timedelta
from urllib.parse import urlencode

SOON = str(date.today() + timedelta(days=7))
#: API paths, without /api/v1/.
BODIES: dict[str, dict[str, object]] = {
    "labs/<slug:lab_id>/extend": {"hours": 1},
    "labs/<slug:lab_id>/lever": {"code": "gpus:0"},
    "labs/<slug:lab_id>/ask-first": {"ask_first": True},
    "labs/<slug:lab_id>/move": {"to": "first", "reason": "A deadline."},
    "labs/<slug:lab_id>/keep": {"hours": 1},
    "labs/<slug:lab_id>/requeue": {"requeue": False},
    "labs/<slug:lab_id>/take-gpu": {"gpus": 1},
    "labs/<slug:lab_id>/apps": {"tool": "tensorboard"},
    "labs/<slug:lab_id>/apps/stop": {"tool": "tensorboard"},
    "labs/<slug:lab_id>/shares": {"port": 8081, "hours": 1, "email": "bob@example.edu"},
    "gpus/<str:uuid>/service": {"in_service": False},
    "groups": {"kind": "organisation", "name": "Another", "slug": "another"},
    "groups/<int:group_id>": {"encrypted_only": True},
    "people": {"email": "new@example.edu", "display_name": "New"},
    "requests/<int:request_id>/answer": {"grant": False, "answer": "Not now."},
    "announcements": {"words": "A new switch.", "hours": 1},
    "jobs/<int:trigger_id>/pause": {"paused": True},
    "me/requests": {"asked": {"hours_max": 100}, "until": SOON, "why": "The last chapter."},
}
#: Pages whose form names a record before anything else is looked at.
FORMS = {"manage/quotas/": {"role": "student"}, "manage/quotas/preview/": {"role": "student"}}


def body_of(method: str, route: str) -> bytes:
    """The body of one request; empty where nothing is needed."""
    if method in ("GET", "DELETE"):
        return b""
    if route.startswith("api/v1/"):
        return json.dumps(BODIES.get(route.removeprefix("api/v1/"), {})).encode()
    return urlencode(FORMS.get(route, {})).encode()
