"""What a worker on a node holds: its runtime, its probe, its clock, and the guard that keeps a lab in one pair of hands."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime

from django.db import close_old_connections
from django.utils import timezone

from worker.probes.base import CardXid, Probe
from worker.runtimes.base import Runtime

log = logging.getLogger(__name__)
#: Work that failed rests for 2, 4, 8 … seconds, and never longer than this.
LONGEST_REST_S = 60.0


@dataclass(slots=True)
class Hands:
    """One node's hands. `isolates` tells whether its runtime keeps people apart."""

    node_id: str
    runtime: Runtime
    probe: Probe
    runtime_words: str = ""
    probe_words: str = ""
    isolates: bool = True
    clock: Callable[[], datetime] = timezone.now
    booted_at: Callable[[], datetime | None] = lambda: None  # when this host booted, by the house's clock
    kernel_xids: Callable[[], Sequence[CardXid]] = tuple  # errors of cards in the kernel's log since they were asked for last
    limits: dict[str, datetime] = field(default_factory=dict)  # when each running container ends, as the record said last
    keep: Callable[[dict[str, datetime]], None] = lambda _: None  # writes them where a worker that starts without the record finds them
    limits_kept: bool = False  # did this worker write them?
    limits_at: float = field(default_factory=time.monotonic)  # when it said so
    _rests: dict[str, tuple[int, float]] = field(default_factory=dict)
    _busy: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def once(self, pool: Executor, key: str, work: Callable[[], object]) -> bool:
        """Do `work` in the pool, unless something is at work for `key` already or the last try failed a moment ago."""
        if not self.take(key):
            return False
        pool.submit(self._run, key, work)
        return True

    @property
    def crowd(self) -> int:
        """How many are being worked on now, at least one."""
        return max(len(self._busy), 1)

    def take(self, key: str) -> bool:
        """Reserve `key`; False when it is taken, or rests after a failure."""
        with self._lock:
            if key in self._busy or self._rests.get(key, (0, 0.0))[1] > time.monotonic():
                return False
            self._busy.add(key)
            return True

    def release(self, key: str) -> None:
        """Give `key` back."""
        with self._lock:
            self._busy.discard(key)

    def alone(self, work: Callable[[], object], words: str) -> None:
        """Do `work` in a thread of a pool: with a database connection that is fit, and a failure in the log."""
        close_old_connections()
        try:
            work()
        except Exception:
            log.exception("%s failed; the next tick tries again", words)
        finally:
            close_old_connections()

    def _run(self, key: str, work: Callable[[], object]) -> None:
        close_old_connections()
        try:
            work()
            self._rests.pop(key, None)
        except Exception:
            log.exception("work for %s failed; it is tried again in %.0f s", key, self._rest(key))
        finally:
            close_old_connections()
            self.release(key)

    def _rest(self, key: str) -> float:
        failures = self._rests.get(key, (0, 0.0))[0] + 1
        seconds = min(2.0**failures, LONGEST_REST_S)
        self._rests[key] = (failures, time.monotonic() + seconds)
        return seconds
