"""How the worker takes tasks from the broker: as Celery does, but a broker that comes back is found at once.

Celery itself waits 2, 4, 6 … 30 s between its tries, so that after a broker was away for a minute the watchdog would end a
worker that is only waiting.
"""

from functools import partial

from celery.worker.consumer import Consumer
from kombu import Connection

#: How long between two tries to reach the broker, seconds.
RETRY_S = 1


class SteadyConsumer(Consumer):
    """Tries again every second, for ever."""

    def ensure_connected(self, conn: Connection) -> Connection:
        """The connection, once the broker answers."""
        steady = partial(conn.ensure_connection, interval_start=RETRY_S, interval_step=0, interval_max=RETRY_S)
        conn.ensure_connection = steady  # type: ignore[method-assign]  # Celery has no setting for it
        return super().ensure_connected(conn)
