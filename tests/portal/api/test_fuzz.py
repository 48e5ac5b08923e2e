"""The API against its own OpenAPI document, by schemathesis: every operation, all checks, and sequences along its links."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples_of
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.config import SchemathesisConfig

from portal.api import rates
from portal.api.urls import api

pytestmark = pytest.mark.django_db
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
#: What the house refuses in words though the body is of the right shape: 422 is an answer to good data as well.
CONFIG = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "409", "412", "422"]
"""


@pytest.fixture
def one_connection() -> Iterator[None]:
    """A request does not close the connection in whose transaction the test is; Django's own test client does the same."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def schema(one_connection: None, calls: Any, root_admin: Any, alice: Any, lab_of: Any, node: Any, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Any:
    """The document with an application that answers in this very thread, as an administrator."""
    monkeypatch.setattr(rates, "READS", 10**9)
    monkeypatch.setattr(rates, "WRITES", 10**9)
    settings.ALLOWED_HOSTS = ["localhost"]
    lab_of(root_admin)
    config = SchemathesisConfig.from_str(CONFIG)
    document = json.loads(json.dumps(api.get_openapi_schema()))
    made = schemathesis.openapi.from_dict(document, config=config)
    served = get_wsgi_application()
    made.app = lambda environ, start: served(environ | {"REMOTE_ADDR": "127.0.0.1"}, start)
    made.config.headers = {"Authorization": f"Bearer {calls(root_admin).secret}"}
    return made


def _sweep(schema: Any, examples: int) -> int:
    asked, wrong = 0, []
    for found in schema.get_all_operations():
        operation = found.ok()

        @examples_of(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=QUIET, phases=[Phase.generate])
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            nonlocal asked
            asked += 1
            with transaction.atomic():
                case.call_and_validate()
                transaction.set_rollback(True)

        try:
            ask()
        except BaseExceptionGroup as group:
            wrong.append(f"{operation.label}: {group}")
    assert not wrong, "\n\n".join(wrong)
    return asked


def test_every_operation_answers_as_its_document_says(schema: Any) -> None:
    assert _sweep(schema, 4) >= 4 * 40


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_operation_answers_as_its_document_says_to_a_great_many_requests(schema: Any) -> None:
    assert _sweep(schema, 400) >= 10_000


def _walk(schema: Any, examples: int, steps: int) -> int:
    """Sequences in which one answer's ids go into the next request, each undone at its end; how many were walked."""
    machine: Any = schema.as_state_machine()
    walked = 0

    class Undone(machine):  # type: ignore[misc]
        """Whatever a sequence did is gone before the next."""

        def setup(self) -> None:
            nonlocal walked
            walked += 1
            self.undo = transaction.atomic()
            self.undo.__enter__()

        def teardown(self) -> None:
            transaction.set_rollback(True)
            self.undo.__exit__(None, None, None)

    chosen = examples_of(
        max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=True, database=None, suppress_health_check=QUIET, phases=[Phase.generate]
    )
    run_state_machine_as_test(Undone, settings=chosen)
    return walked


def test_sequences_along_the_links_answer_as_the_document_says(schema: Any) -> None:
    assert _walk(schema, 6, 8) >= 6


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_great_many_sequences_along_the_links_answer_as_the_document_says(schema: Any) -> None:
    assert _walk(schema, 400, 20) >= 400
