"""The doorbell: makes a loop look now instead of at its next tick. Losing a ring costs one tick."""

import logging
from typing import Any

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)


def ring(task: str, *, queue: str = "control", **ids: Any) -> None:
    """Send the Celery task `task` with keyword ids once the transaction has committed."""
    transaction.on_commit(lambda: _send(task, queue, ids))


def node_queue(node_id: str) -> str:
    """The queue that only the worker on that node consumes."""
    return f"node.{node_id}"


def _send(task: str, queue: str, ids: dict[str, Any]) -> None:
    try:
        current_app.send_task(task, kwargs=ids, queue=queue, ignore_result=True, retry=False)
    except (OperationalError, OSError) as error:
        log.warning("doorbell: %s was not rung: %s", task, error)
