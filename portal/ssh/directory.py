"""Who stands behind a key, and which lab a name means. Blocking: the gateway calls it in threads."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, Protocol, TypeVar

from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.lifecycle.queries import lab_of_name
from labs.lifecycle.services import lab_entered
from labs.people.queries import ssh_key_by_fingerprint, ssh_key_touch, ssh_keys_standing

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Found:
    """A person's key and the lab of theirs that they named. `closed` says in words why it cannot be entered now."""

    user_id: int
    key_id: int
    lab_id: str
    closed: str = ""


class Directory(Protocol):
    """What the gateway asks."""

    def find(self, fingerprint: str, name: str) -> Found | None:
        """The key's owner and their own lab of that name or id; None for everything else."""
        ...

    def standing(self, key_ids: Iterable[int]) -> set[int]:
        """Those of the keys that still open a door."""
        ...

    def touch(self, key_id: int, lab_id: str) -> None:
        """Note that the key was used, and for which lab."""
        ...


def in_thread(call: Callable[P, R]) -> Callable[P, R]:
    """For calls from threads that Django does not know: a connection that has gone is opened anew, none is left behind."""

    @wraps(call)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        close_old_connections()
        try:
            return call(*args, **kwargs)
        finally:
            close_old_connections()

    return wrapped


class Records:
    """The directory that the database is."""

    @in_thread
    def find(self, fingerprint: str, name: str) -> Found | None:
        """The owner of the key and their own lab of that name or id; None for everything else, without saying which."""
        key = ssh_key_by_fingerprint(fingerprint=fingerprint)
        lab = lab_of_name(owner=key.user, name=name) if key else None
        if key is None or lab is None:
            return None
        return Found(key.user_id, key.pk, lab.pk, _closed_words(lab))

    @in_thread
    def standing(self, key_ids: Iterable[int]) -> set[int]:
        """Those of the keys that still exist and whose owner is active."""
        return ssh_keys_standing(key_ids=key_ids)

    @in_thread
    def touch(self, key_id: int, lab_id: str) -> None:
        """Note that the key was used, and for which lab."""
        ssh_key_touch(key_id=key_id, now=timezone.now())
        lab_entered(lab_id=lab_id, now=timezone.now())


def _closed_words(lab: Lab) -> str:
    page = f"{settings.PORTAL_URL}/labs/{lab.pk}/"
    if lab.state == states.RUNNING:
        return "" if lab.ssh_port else f"{lab.name} is running, but its SSH server is not ready yet. {page}"
    if lab.is_live:
        return f"{lab.name} cannot be entered now: it is {lab.state_words.lower()}. {page}"
    return f"{lab.name} is not running. Start it again at {page}"
