"""Callers of the API and a body to send."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign, lab_ready
from labs.people.models import User
from labs.people.services import token_create
from tests.support.callers import Caller


@pytest.fixture
def calls(now: datetime) -> Callable[..., Caller]:
    """`calls(alice)`, `calls(alice, "read")`."""

    def make(user: User, scope: str = "") -> Caller:
        scope = scope or ("admin" if user.is_administrator else "launch")
        return Caller(token_create(user=user, name="test", scope=scope, now=now)[1])

    return make


@pytest.fixture
def wish(image: Any, node: Any) -> dict[str, Any]:
    """A body that POST /labs takes."""
    return {"image": image.pk, "gpus": 1, "cpus": 2, "memory_gib": 4, "shm_gib": 1, "hours": 2, "name": "first"}


@pytest.fixture
def running(now: datetime) -> Callable[[Lab, list[str]], Lab]:
    """Bring a lab that waits to running, as the hands would."""

    def run(lab: Lab, gpus: list[str]) -> Lab:
        assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=gpus, now=now)
        assert lab_ready(lab_id=lab.pk, attempt=lab.attempt, verified={}, not_held=[], now=now)
        return Lab.objects.get(pk=lab.pk)

    return run
