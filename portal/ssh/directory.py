"""The directory that the records are: who stands behind a key, and which lab a name means. Blocking: the gateway calls it in threads."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial, wraps
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from labs.lifecycle import states
from labs.lifecycle.addresses import ssh_command
from labs.lifecycle.claims import lab_claim
from labs.lifecycle.models import Lab
from labs.lifecycle.queries import lab_for_owner, lab_of_name
from labs.lifecycle.queueing import wait_of
from labs.lifecycle.services import lab_again, lab_entered
from labs.people.errors import Refused
from labs.people.hostkeys import host_key_tell
from labs.people.models import SshKey, User
from labs.people.queries import ssh_key_by_fingerprint, ssh_key_touch, ssh_keys_standing
from portal.ssh.found import Found, Progress
from portal.ssh.tunnel import Unreachable

P = ParamSpec("P")
R = TypeVar("R")
#: The queue is planned anew for each look, so it is not looked at as often as a lab that starts.
QUEUE_LOOK_S = 10.0


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
        return _found(key, lab)

    @in_thread
    def standing(self, key_ids: Iterable[int]) -> set[int]:
        """Those of the keys that still exist and whose owner is active."""
        return ssh_keys_standing(key_ids=key_ids)

    @in_thread
    def touch(self, key_id: int, lab_id: str) -> None:
        """Note that the key was used, and which lab was entered, if any."""
        ssh_key_touch(key_id=key_id, now=timezone.now())
        if lab_id:
            lab_entered(lab_id=lab_id, now=timezone.now())

    @in_thread
    def known_by(self, host_key: str) -> None:
        """Note by which public key clients know this gateway; pages and the API show it."""
        host_key_tell(line=host_key, now=timezone.now())

    @in_thread
    def start(self, found: Found) -> Found:
        """Take what is held for it, or ask for the same lab again."""
        lab, now = _lab(found), timezone.now()
        if not lab.owner.is_active:
            raise Unreachable("This account is disabled.")
        try:
            if lab.state == states.OFFERED:
                lab_claim(lab=lab, actor=lab.owner, now=now)
            elif lab.state in states.FINAL:
                lab = lab_again(lab=lab, actor=lab.owner, now=now)
        except Refused as refused:
            raise Unreachable(refused.words) from refused
        return replace(found, lab_id=lab.pk)

    @in_thread
    def progress(self, found: Found) -> Progress:
        """What its page says, in a line."""
        lab = _lab(found)
        if lab.state == states.RUNNING and lab.ssh_port:
            return Progress(f"{lab.name} runs.", ready=True)
        if lab.state in states.FINAL:
            return Progress(lab.reason or "It has ended.", over=True)
        if lab.state in (states.QUEUED, states.OFFERED):
            return Progress(_wait_words(lab), again_s=QUEUE_LOOK_S)
        return Progress(f"{lab.state_words}: {lab.stage_words}." if lab.stage_words else f"{lab.state_words}.")


def _lab(found: Found) -> Lab:
    return lab_for_owner(user=User.objects.get(pk=found.user_id), lab_id=found.lab_id)


def _found(key: SshKey, lab: Lab) -> Found:
    page, name = f"{settings.PORTAL_URL}/labs/{lab.pk}/", lab.name
    whole = partial(Found, key.user_id, key.pk, lab.pk)
    shell = f"A shell offers it too: {ssh_command(name)}"
    if lab.state == states.RUNNING:
        return whole() if lab.ssh_port else whole(f"{name} is running, but its SSH server is not ready yet.", page)
    if lab.state == states.OFFERED:
        return whole(f"{name} can start: its place is held for you.", f"Take it at {page} {shell}", "Start it now?", comes=True)
    if lab.state in (states.QUEUED, states.STARTING):
        return whole(f"{name} cannot be entered yet: it is {lab.state_words.lower()}.", page, comes=True)
    if lab.is_job and not lab.is_live:
        return whole(f"{name} was a job, and has ended.", page)
    if lab.is_live:
        return whole(f"{name} cannot be entered now: it is {lab.state_words.lower()}.", page)
    return whole(f"{name} is not running.", f"Start it again at {page} {shell}", f"Start it again ({_sizes(lab)})?", comes=True)


def _sizes(lab: Lab) -> str:
    hours = f"{lab.hours} hour{'' if lab.hours == 1 else 's'}"
    return f"{lab.gpu_words}, {lab.cpus} CPU, {lab.memory_mib // 1024} GiB of memory, {hours}"


def _wait_words(lab: Lab) -> str:
    entry = wait_of(lab=lab, now=timezone.now())
    if entry is None:
        return f"{lab.state_words}."
    place = f"Place {entry.place} in the queue. " if entry.place else ""
    return place + " ".join(entry.reasons)
