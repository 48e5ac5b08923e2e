"""Is the portal able to serve? For the reverse proxy and the supervisor."""

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse


def healthz(request: HttpRequest) -> JsonResponse:
    """200 when the database answers; the broker is not asked, because pages live without it."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"ok": False, "words": "The database does not answer."}, status=503)
    return JsonResponse({"ok": True})
