"""What every record's admin has in common: it is read here and changed by the services."""

from collections.abc import Callable, Iterable
from typing import Any, cast

from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest

from labs.people.errors import Refused
from labs.people.models import User


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    """Looked at, never edited: facts are written by the services, which judge, record and announce them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Never."""
        return False


def actor_of(request: HttpRequest) -> User:
    """Who acts; the admin has let only signed-in people this far."""
    return cast("User", request.user)


def each(request: HttpRequest, rows: Iterable[models.Model], act: Callable[[Any], object], *, done: str) -> None:
    """Call a service for every chosen row; a refusal is told with the row that caused it."""
    count = 0
    for row in rows:
        try:
            act(row)
        except Refused as refused:
            messages.error(request, f"{row}: {refused.words}")
        else:
            count += 1
    if count:
        messages.success(request, f"{done}: {count}.")
