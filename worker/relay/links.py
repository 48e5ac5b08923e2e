"""The table of open links: everything that is under way, with what it was let in for, so that it can be cut."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from worker.relay.access import Grant, Standing, judge
from worker.relay.table import Table, Unknown

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Link:
    """One request, websocket or stream of bytes under way, carried by `task`."""

    grant: Grant
    attempt: int
    kind: str
    task: "asyncio.Task[object]"


class Links:
    """Judges every open link again whenever the table has looked, and cancels those that no longer hold."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._open: set[Link] = set()
        table.on_change(self.check)

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def link(self, grant: Grant, attempt: int, kind: str) -> Iterator[Link]:
        """The current task is a link as long as the block lasts."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("A link is carried by a task.")
        link = Link(grant, attempt, kind, task)
        self._open.add(link)
        try:
            yield link
        finally:
            self._open.discard(link)

    def check(self) -> None:
        """Cut what may not go on: person, token, role or pass revoked, lab ended or started anew, nothing known."""
        for link in [link for link in self._open if not self._holds(link)]:
            log.info("cut %s of lab %s: no longer allowed", link.kind, link.grant.lab_id)
            link.task.cancel()

    def _holds(self, link: Link) -> bool:
        try:
            verdict = judge(link.grant, self._table.snapshot)
        except Unknown:
            return False
        return verdict.standing is Standing.OPEN and verdict.route is not None and verdict.route.attempt == link.attempt
