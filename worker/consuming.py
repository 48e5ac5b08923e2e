"""How the worker takes tasks from the broker: as Celery does, but a broker that comes back is found at once, and one that goes ends nothing.

Celery itself waits 2, 4, 6 … 30 s between its tries, so that after a broker was away for a minute the watchdog would end a
worker that is only waiting. And a task that is at work when the link breaks would end the worker with all that it does: what is
acknowledged or given back over the link that is gone raises an AttributeError in kombu, which Celery takes for its own end.
"""

from functools import partial
from typing import Any

from celery.worker.consumer import Consumer
from kombu import Connection
from kombu.transport.redis import Channel, Transport
from redis.exceptions import ConnectionError as LinkGone

#: How long between two tries to reach the broker, seconds.
RETRY_S = 1


class SteadyChannel(Channel):
    """Says that its link is gone in a way that Celery knows. What was not acknowledged rang for something that the loops do anyway."""

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        if self.connection is None or self.connection.client is None:
            raise LinkGone("the link to the broker was let go")
        found: dict[str, Any] = super()._connparams(asynchronous=asynchronous)  # type: ignore[misc]  # celery-types does not know it
        return found


class SteadyTransport(Transport):
    """Redis, by such channels."""

    Channel = SteadyChannel


class SteadyConsumer(Consumer):
    """Tries again every second, for ever, and outlives a link that breaks while tasks are at work."""

    def ensure_connected(self, conn: Connection) -> Connection:
        """The connection, once the broker answers."""
        steady = partial(conn.ensure_connection, interval_start=RETRY_S, interval_step=0, interval_max=RETRY_S)
        conn.ensure_connection = steady  # type: ignore[method-assign]  # Celery has no setting for it
        conn.get_transport_cls = lambda: SteadyTransport  # type: ignore[method-assign]
        return super().ensure_connected(conn)
