"""Xids as the driver gives them to those who asked. A driver or a card without such events has none, and nothing else is lost."""

from collections.abc import Mapping
from typing import Any

import pynvml

from worker.probes.base import CardXid
from worker.probes.nvml.calls import or_none

#: Of one look; the rest comes with the next.
MOST = 100


class XidEvents:
    """Asks for each card once, and never waits for an event."""

    def __init__(self) -> None:
        self._set: Any = None
        self._asked: set[str] = set()

    def since_last(self, handles: Mapping[str, Any]) -> tuple[CardXid, ...]:
        """What came since the last look. `handles`: the cards by UUID."""
        self._set = self._set or or_none(pynvml.nvmlEventSetCreate)
        if self._set is None:
            return ()
        for uuid in handles.keys() - self._asked:
            or_none(pynvml.nvmlDeviceRegisterEvents, handles[uuid], pynvml.nvmlEventTypeXidCriticalError, self._set)
            self._asked.add(uuid)
        found: list[CardXid] = []
        while len(found) < MOST and (event := or_none(pynvml.nvmlEventSetWait_v2, self._set, 0)) is not None:
            found.append(CardXid(str(or_none(pynvml.nvmlDeviceGetUUID, event.device) or ""), int(event.eventData)))
        return tuple(one for one in found if one.card)

    def forget(self) -> None:
        """The driver is let go of: what was asked of it is void."""
        self._set, self._asked = None, set()
