"""What viewers are told, each audience in an encoding of its own. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from labs.telemetry.audience import Audience, card_for

Sample = Mapping[str, Any]
#: The metrics that charts draw.
CHARTED = ("gpu_pct", "memory_used_mib", "temperature_c", "power_w")


def encode(message: Mapping[str, Any]) -> str:
    """JSON without blanks."""
    return json.dumps(message, separators=(",", ":"), default=str)


def sample_for(sample: Sample, audience: Audience) -> dict[str, Any]:
    """A node's sample as the audience may see it."""
    return {
        "topic": f"gpus.{sample['node']}",
        "kind": "sample",
        "seq": sample["seq"],
        "at": sample["at"],
        "simulated": sample["simulated"],
        "fault": sample["fault"],
        "cards": [card_for(card, audience) for card in sample["cards"]],
    }


class Encodings:
    """One encoding of a sample for each audience that sees something of its own, and one for everybody else."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self._holders = {card["holder"]["owner"] for card in sample["cards"] if card.get("holder")}
        self._made: dict[tuple[bool, int], str] = {}

    def of(self, audience: Audience) -> str:
        """The text for this audience."""
        key = (audience.is_admin, audience.user_id if audience.user_id in self._holders else 0)
        if key not in self._made:
            self._made[key] = encode(sample_for(self._sample, audience))
        return self._made[key]


def history(node_id: str, samples: Sequence[Sample], after: int) -> str:
    """What a chart draws of the past, in columns, without anything personal. `after` is the last number that is left out."""
    uuids = list(dict.fromkeys(card["uuid"] for sample in samples for card in sample["cards"]))
    rows = [{card["uuid"]: card for card in sample["cards"]} for sample in samples]
    return encode(
        {
            "topic": f"gpus.{node_id}",
            "kind": "history",
            "after": after,
            "seq": samples[-1]["seq"] if samples else after,
            "at": [sample["at"] for sample in samples],
            "cards": {uuid: {name: [row.get(uuid, {}).get(name) for row in rows] for name in CHARTED} for uuid in uuids},
        }
    )


def since(samples: Sequence[Sample], seen: int) -> tuple[Sequence[Sample], int]:
    """The samples that a viewer who has seen number `seen` lacks, and the number they follow on.

    0 means that they replace what the viewer has: it is new, was away too long, or the numbers began again.
    """
    if not samples or not (samples[0]["seq"] - 1 <= seen <= samples[-1]["seq"]):
        return samples, 0
    return [sample for sample in samples if sample["seq"] > seen], seen


def lab_usage(message: Sample) -> dict[str, Any]:
    """A lab's sample as its owner sees it."""
    shown = ("topic", "kind", "seq", "at", "cpu_pct", "memory_mib", "shm_mib", "gpus")
    return {name: message[name] for name in shown if name in message}


def parse_seen(text: str) -> dict[str, int]:
    """`local:12,n2:7` -> numbers by node; what is not of that form is passed over."""
    pairs: list[tuple[str, str, str]] = [part.partition(":") for part in text[:2000].split(",")]
    return {node: int(number) for node, _, number in pairs if number.isascii() and number.isdigit() and len(number) < 16}
