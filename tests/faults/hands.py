"""Workers as processes that can be killed: forked, each with hands of its own over the real engine."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from django.db import connections
from django.utils import timezone

from labs.fleet.models import Node
from labs.lifecycle.models import Lab
from tests.support.hands import AtOnce, NoCards
from tests.support.waiting import wait_for
from worker.hands import Hands
from worker.loops import reap, reconcile, schedule, usage
from worker.runtimes.docker.runtime import DockerRuntime

#: One tick of the tests stands for one period of the loops.
PERIOD_S = 5.0
TICK_S = 0.05


@dataclass
class House:
    """A node on the real engine. Every process that works for it makes its own `hands`."""

    node: Node
    engine: str
    folder: Path
    network_range: str
    children: list[int] = field(default_factory=list)

    def hands(self) -> Hands:
        """Fresh hands: a driver with connections of its own."""
        runtime = DockerRuntime(node_id=self.node.realm, state_dir=self.folder, network_range=self.network_range, images_dir=self.folder, address=self.engine)
        return Hands(node_id=self.node.pk, runtime=runtime, probe=NoCards(), clock=timezone.now)

    def tick(self, hands: Hands) -> None:
        """One period of every loop that moves labs."""
        now = hands.clock()
        self.beat(now)
        schedule.tick(now=now)
        reconcile.tick(hands=hands, now=now)
        reap.tick(now=now)

    def beat(self, now: datetime) -> None:
        """The node is there."""
        Node.objects.filter(pk=self.node.pk).update(heartbeat_at=now)

    def until(self, lab_id: str, *wanted: str, within: float = 90.0, hands: Hands | None = None) -> int:
        """Tick until the lab is in one of the states; the number of periods that it took."""
        mine = hands or self.hands()
        ends = time.monotonic() + within
        for periods in range(1, 10_000):
            self.tick(mine)
            state = Lab.objects.values_list("state", flat=True).get(pk=lab_id)
            if state in wanted:
                return periods
            assert time.monotonic() < ends, f"lab {lab_id} is {state} and not {' or '.join(wanted)} after {within:g} s"
            time.sleep(TICK_S)
        raise AssertionError

    def tick_without_waiting(self, lab_id: str) -> None:
        """Let a worker begin a lab that never answers; end it as soon as the container is there."""
        pid = self.fork(self.tick)
        begun = Lab.objects.filter(pk=lab_id, stage="jupyter") | Lab.objects.filter(pk=lab_id, tries=1) | Lab.objects.filter(pk=lab_id, state="stopping")
        wait_for(begun.exists, within=60, what="a lab that is begun")
        os.kill(pid, signal.SIGKILL)
        self.wait(pid)

    def told(self, lab_id: str, *, within: float) -> bool:
        """Look at what labs use until its owner was told something."""
        hands = self.hands()

        def is_told() -> bool:
            usage.tick(hands=hands, cards={}, now=hands.clock())
            return bool(Lab.objects.get(pk=lab_id).notices)

        return wait_for(is_told, within=within, what="a notice")

    def fork(self, work: Callable[[Hands], object]) -> int:
        """A worker in a process of its own; its pid."""
        connections.close_all()
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            self.children.append(pid)
            return pid
        status = 1
        try:
            work(self.hands())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def wait(self, pid: int) -> int:
        """Its end: 0, an exit status, or minus the signal that killed it."""
        _, status = os.waitpid(pid, 0)
        self.children.remove(pid)
        return os.waitstatus_to_exitcode(status)

    def end(self) -> None:
        """No worker outlives its test."""
        for pid in tuple(self.children):
            os.kill(pid, signal.SIGKILL)
            self.wait(pid)


__all__ = ["AtOnce", "House"]
