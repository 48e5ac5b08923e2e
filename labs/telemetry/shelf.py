"""Where samples lie in Redis: the latest ones of a node or a lab, newest first. Losing them costs a chart's past."""

import json
from collections.abc import Mapping
from typing import Any

from labs.bus.redis import client

PREFIX = "gpulab:samples:"
#: What a chart shows at once, and what a viewer is sent at the start: five minutes at one sample in two seconds.
CHART_SAMPLES = 150


def node_key(node_id: str) -> str:
    """The list of a node's samples."""
    return f"{PREFIX}node:{node_id}"


def lab_key(lab_id: str) -> str:
    """The list of a lab's samples."""
    return f"{PREFIX}lab:{lab_id}"


def seq_next(key: str, keep_s: int) -> int:
    """The next number of a list. Numbers only grow while Redis lives; after a loss they begin again at 1."""
    pipe = client().pipeline()
    pipe.incr(f"{key}:seq")
    pipe.expire(f"{key}:seq", keep_s)
    return int(pipe.execute()[0])


def put(key: str, sample: Mapping[str, Any], *, keep: int, keep_s: int) -> None:
    """Add a sample; the newest `keep` stay, and none when `keep_s` seconds bring no further one."""
    pipe = client().pipeline()
    pipe.lpush(key, json.dumps(sample, separators=(",", ":")))
    pipe.ltrim(key, 0, keep - 1)
    pipe.expire(key, keep_s)
    pipe.execute()


def newest(key: str) -> dict[str, Any] | None:
    """The latest sample, if there is one."""
    found = client().lindex(key, 0)
    return dict(json.loads(found)) if found else None


def last(key: str, count: int) -> list[dict[str, Any]]:
    """The latest `count` samples, oldest first."""
    return [json.loads(one) for one in reversed(client().lrange(key, 0, count - 1))]
