"""A process that does in the house's database what it is told, line by line: faster than a Django of its own for each act."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.served import ROOT


class Hand:
    """Does one of `Acts` and says when it was committed, in seconds of the epoch."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def do(self, act: str, *given: Any) -> Any:
        """Do it; what it says."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([act, *given]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def hand_of(environ: dict[str, str]) -> Iterator[Hand]:
    """A hand in that house."""
    command = [sys.executable, "-m", "tests.security.hand"]
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Hand(process)
    finally:
        process.terminate()
        process.wait(30)


class Acts:
    """What a hand can do. Every act answers with the moment of its commit, if with nothing else."""

    @staticmethod
    def ready(lab_id: str) -> float:
        from labs.lifecycle.moves import lab_ready

        lab_ready(lab_id=lab_id, attempt=1, verified={}, not_held=[], now=_now())
        return time.time()

    @staticmethod
    def starting(lab_id: str) -> float:
        _lab(lab_id, state="starting")
        return time.time()

    @staticmethod
    def stopped(lab_id: str) -> float:
        from labs.lifecycle.services import lab_stop

        lab = _lab(lab_id)
        lab_stop(lab=lab, actor=lab.owner, now=_now())
        return time.time()

    @staticmethod
    def token(lab_id: str) -> list[Any]:
        from labs.lifecycle.services import lab_token_create

        lab = _lab(lab_id)
        made, secret = lab_token_create(lab=lab, name="script", actor=lab.owner, now=_now())
        return [made.pk, secret]

    @staticmethod
    def token_revoked(lab_id: str, token_id: int) -> float:
        from labs.lifecycle.services import lab_token_revoke

        lab = _lab(lab_id)
        lab_token_revoke(lab=lab, token_id=token_id, actor=lab.owner, now=_now())
        return time.time()

    @staticmethod
    def disabled(name: str) -> float:
        from labs.people.services import person_disable

        person_disable(user=_person(name), actor=_person("root"), now=_now())
        return time.time()

    @staticmethod
    def enabled(name: str) -> float:
        from labs.people.services import person_enable

        person_enable(user=_person(name), actor=_person("root"), now=_now())
        return time.time()

    @staticmethod
    def role(name: str, given: str) -> float:
        from labs.people.services import person_update

        person_update(user=_person(name), display_name=name, role=given, actor=_person("root"), now=_now())
        return time.time()


def _now() -> Any:
    from django.utils import timezone

    return timezone.now()


def _person(name: str) -> Any:
    from labs.people.models import User

    return User.objects.get(email=f"{name}@example.edu")


def _lab(lab_id: str, **changes: Any) -> Any:
    from labs.lifecycle.models import Lab

    if changes:
        Lab.objects.filter(pk=lab_id).update(**changes)
    return Lab.objects.get(pk=lab_id)


if __name__ == "__main__":
    import django

    django.setup()
    for line in sys.stdin:
        act, *given = json.loads(line)
        print(json.dumps(getattr(Acts, act)(*given)), flush=True)
