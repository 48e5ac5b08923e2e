"""How many of a thing a person may have holds when two are made at the same moment; on PostgreSQL, through real connections."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.db import connection

from labs.jobs import services as jobs
from labs.jobs.services import trigger_create
from labs.lifecycle.wishes import Wish
from labs.people import services as people
from labs.people.errors import Refused
from labs.people.models import User
from labs.people.services import ssh_key_add, token_create
from labs.webhooks import services as webhooks
from labs.webhooks.services import hook_create
from tests.conftest import need
from tests.support.racing import racing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres, pytest.mark.timeout(120)]
RACERS, MOST = 6, 2
Makes = Callable[[int], object]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of each are enough."""
    need("GPULAB_TEST_DATABASE_URL", "PostgreSQL")
    assert connection.vendor == "postgresql"
    for place, name in ((people, "MOST_KEYS"), (people, "MOST_TOKENS"), (webhooks, "MOST"), (jobs, "MOST")):
        monkeypatch.setattr(place, name, MOST)


@pytest.fixture
def ways(alice: User, image: Any, node: Any, now: datetime) -> dict[str, Makes]:
    """What a person makes, by the name of where it is kept with them."""
    wish = Wish(image_id=image.pk, gpus=0, cpus=2, memory_gib=4, hours=2, command=("python", "nightly.py"))

    def key(_: int) -> object:
        public = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        return ssh_key_add(user=alice, name="", text=public.decode(), now=now)

    return {
        "ssh_keys": key,
        "api_tokens": lambda n: token_create(user=alice, name=f"t{n}", scope="read", now=now),
        "hooks": lambda n: hook_create(owner=alice, name=f"h{n}", url="https://hooks.example.edu/lab", events=["lab.stopped"], everyone=False, now=now),
        "triggers": lambda n: trigger_create(owner=alice, name=f"j{n}", wish=wish, kind="call", now=now),
    }


@pytest.mark.parametrize("thing", ["ssh_keys", "api_tokens", "hooks", "triggers"])
def test_of_six_made_at_once_as_many_are_made_as_may_be(alice: User, ways: dict[str, Makes], thing: str) -> None:
    def make(n: int) -> bool:
        try:
            ways[thing](n)
        except Refused:
            return False
        return True

    with racing(RACERS) as race:
        made = race(make, RACERS)
    assert sum(made) == getattr(alice, thing).count() == MOST
