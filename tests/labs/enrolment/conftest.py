"""A house that hosts can join: PostgreSQL and Redis for real."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection

from labs.enrolment.authority import key_new, request_new
from labs.enrolment.models import Credential
from labs.enrolment.services import Joined, credential_revoke, join_token_create, node_join


@pytest.fixture
def open_house(redis_url: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says where its database and its broker are reached."""
    if connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL: set GPULAB_TEST_DATABASE_URL")
    about = connection.settings_dict
    settings.NODES_DATABASE_URL = f"postgres://{about['HOST']}:{about['PORT']}/{about['NAME']}"
    settings.NODES_REDIS_URL = settings.REDIS_URL = redis_url


@pytest.fixture
def request_pem() -> str:
    return request_new(key=key_new())


@pytest.fixture
def joined(transactional_db: None, open_house: None, node: Any, root_admin: Any, now: Any, request_pem: str) -> Iterator[Joined]:
    """A host that joined as n2, beside the house's own n1."""
    _, secret = join_token_create(node_id="n2", actor=root_admin, now=now)
    yield node_join(secret=secret, request=request_pem, relay_address="n2.example.edu:7443", now=now)
    for credential in Credential.objects.all():
        credential_revoke(node=credential.node, now=now)


@pytest.fixture
def as_node(joined: Joined) -> Iterator[Any]:
    """What a thief of that host can do: statements in its name."""
    with psycopg.connect(joined.settings["GPULAB_DATABASE_URL"], autocommit=True) as link:
        yield link.execute
