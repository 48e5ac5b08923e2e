"""The last minutes of every node, kept in the process while somebody looks, so that a new viewer costs no query."""

import asyncio
from collections import deque

from channels.db import database_sync_to_async

from labs.fleet.queries import nodes_all
from labs.telemetry.audience import Audience
from labs.telemetry.queries import recent
from labs.telemetry.shelf import CHART_SAMPLES
from portal.live.messages import Encodings, Sample, history, since


class Past:
    """A ring of samples a node, filled from telemetry when it is not whole."""

    def __init__(self) -> None:
        self._rings: dict[str, deque[Sample]] = {}
        self._latest: dict[str, Encodings] = {}
        self._texts: dict[tuple[str, int, int], str] = {}
        self._whole = False
        self._filling = asyncio.Lock()

    def add(self, sample: Sample) -> bool:
        """Take a sample; False when one before it was missed, and the past is not whole until it is filled again."""
        ring = self._rings.get(sample["node"])
        before = ring[-1] if ring else None
        if ring is not None and before is not None and sample["seq"] <= before["seq"] and sample["at"] <= before["at"]:
            return True
        self._latest[sample["node"]] = Encodings(sample)
        if ring is not None and before is not None and sample["seq"] == before["seq"] + 1:
            ring.append(sample)
            return True
        missed, self._whole = self._whole, False
        return not missed

    def encodings(self, node_id: str) -> Encodings:
        """Of the node's newest sample."""
        return self._latest[node_id]

    async def fill(self) -> None:
        """Make the past whole; however many ask for it at once, it is read once."""
        async with self._filling:
            if not self._whole:
                found = await database_sync_to_async(_read)()
                self._rings = {node: deque(samples, maxlen=CHART_SAMPLES) for node, samples in found.items() if samples}
                self._latest = {node: Encodings(ring[-1]) for node, ring in self._rings.items()}
                self._texts.clear()
                self._whole = True

    def texts(self, seen: dict[str, int], audience: Audience) -> list[str]:
        """What a viewer lacks who has seen these numbers, and the newest sample of each node."""
        return [text for node in self._rings for text in (self._history(node, seen.get(node, 0)), self._latest[node].of(audience))]

    def _history(self, node_id: str, seen: int) -> str:
        ring = list(self._rings[node_id])
        samples, after = since(ring, seen)
        key = (node_id, ring[-1]["seq"], after)
        if key not in self._texts:
            self._texts = {old: text for old, text in self._texts.items() if old[0] != node_id or old[1] == key[1]}
            self._texts[key] = history(node_id, samples, after)
        return self._texts[key]


def _read() -> dict[str, list[Sample]]:
    return {node.pk: list(recent(node_id=node.pk)) for node in nodes_all()}
