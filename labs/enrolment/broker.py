"""Users of nodes in the broker: each may take its own queue, ring the house, say what happened, and nothing else."""

import logging
from collections.abc import Iterable
from typing import Any

import redis

from labs.bus.bus import CHANNEL
from labs.bus.doorbell import node_queue
from labs.bus.redis import client
from labs.telemetry.shelf import PREFIX, node_key

log = logging.getLogger(__name__)
#: What Celery's transport and our own few calls need.
COMMANDS = (
    "ping",
    "client|setname",
    "client|id",
    "select",
    "hello",
    "info",
    "brpop",
    "lpush",
    "rpush",
    "llen",
    "lrange",
    "lindex",
    "ltrim",
    "hset",
    "hget",
    "hdel",
    "hexists",
    "zadd",
    "zrem",
    "zrevrangebyscore",
    "zrangebyscore",
    "multi",
    "exec",
    "discard",
    "watch",
    "unwatch",
    "get",
    "set",
    "setnx",
    "del",
    "exists",
    "expire",
    "incr",
    "incrby",
    "zrange",
    "eval",
    "evalsha",
    "script|load",
    "publish",
)
#: What relays listen for.
RELAY = "relay"
#: Keys of Celery's begin so (CELERY_BROKER_TRANSPORT_OPTIONS).
QUEUES = "gpulab."


def rules_of(*, node_id: str, digest: str) -> list[str]:
    """The user's rules, as ACL SETUSER takes them. `digest`: SHA-256 of its password."""
    own = QUEUES + node_queue(node_id)
    return [
        "reset",
        "on",
        f"#{digest}",
        *(f"+{name}" for name in COMMANDS),
        f"~{own}",
        f"~{own}\x06\x16*",
        f"~{QUEUES}unacked*.{node_id}",
        f"%W~{QUEUES}control",
        f"%W~{QUEUES}control\x06\x16*",
        f"~{node_key(node_id)}",
        f"~{node_key(node_id)}:seq",
        f"~{PREFIX}lab:*",
        f"(+sadd +smembers +scard ~{QUEUES}_kombu.binding*)",
        f"&{CHANNEL}*",
        f"(+psubscribe +punsubscribe +subscribe +unsubscribe &{CHANNEL}{RELAY})",
    ]


def _said(*words: str) -> Any:
    return client().execute_command(*words)  # type: ignore[no-untyped-call]


def user_make(*, user: str, node_id: str, digest: str) -> None:
    """Make the user, or make it anew. A broker that is away now is told within seconds, by the loop that keeps credentials."""
    try:
        _said("ACL", "SETUSER", user, *rules_of(node_id=node_id, digest=digest))
    except redis.RedisError as error:
        log.warning("the broker's user %s is not made yet: %s", user, error)


def user_drop(*, user: str) -> None:
    """It signs in no more, and its links are cut."""
    try:
        _said("ACL", "DELUSER", user)
    except redis.RedisError as error:
        log.warning("the broker's user %s is not removed yet: %s", user, error)


def users_known(*, users: Iterable[str]) -> set[str]:
    """Those of them that the broker knows: one that was restarted has forgotten all."""
    known = {name.decode() if isinstance(name, bytes) else str(name) for name in _said("ACL", "USERS")}
    return known & set(users)
