"""What the engine says of our containers -> Observed."""

import re
from typing import Any

from worker.runtimes.base import LABEL, LABEL_ATTEMPT, LABEL_GPUS, Observed
from worker.runtimes.docker.create import JUPYTER_PORT, LOOPBACK, SSH_PORT

_EXITED = re.compile(r"Exited \((\d+)\)")
RUNNING = {"running", "paused", "restarting"}
#: 128 and SIGKILL: how a first process ends that is killed for memory.
KILLED = 137


def from_list(row: dict[str, Any]) -> Observed:
    """One row of the engine's list. Whether memory killed it, only from_inspect tells."""
    exited = _EXITED.match(row.get("Status", ""))
    running = row["State"] in RUNNING
    return Observed(
        name=row["Names"][0].lstrip("/"),
        lab_id=row["Labels"].get(LABEL, ""),
        attempt=_attempt(row["Labels"]),
        running=running,
        fresh=row["State"] == "created",
        exit_code=int(exited.group(1)) if exited else None,
        jupyter=_listed_port(row, JUPYTER_PORT) if running else None,
        ssh=_listed_port(row, SSH_PORT) if running else None,
        inside=_inside(row) if running else "",
        network=row.get("HostConfig", {}).get("NetworkMode", ""),
        gpu_uuids=_gpus(row["Labels"]),
    )


def from_inspect(found: dict[str, Any]) -> Observed:
    """One container in full."""
    state, labels = found["State"], found["Config"]["Labels"]
    running = bool(state["Running"])
    killed = bool(state.get("OOMKilled")) and not running  # the engine says so of any process of the container
    return Observed(
        name=found["Name"].lstrip("/"),
        lab_id=labels.get(LABEL, ""),
        attempt=_attempt(labels),
        running=running,
        exit_code=None if running else state["ExitCode"],
        oom_killed=killed and state["ExitCode"] == KILLED,
        oom_child=killed and state["ExitCode"] != KILLED,
        detail=state.get("Error", ""),
        jupyter=_bound_port(found, JUPYTER_PORT) if running else None,
        ssh=_bound_port(found, SSH_PORT) if running else None,
        inside=_inside(found) if running else "",
        network=found["HostConfig"]["NetworkMode"],
        gpu_uuids=_gpus(labels),
    )


def _gpus(labels: dict[str, str]) -> tuple[str, ...]:
    return tuple(uuid for uuid in labels.get(LABEL_GPUS, "").split(",") if uuid)


def _inside(row: dict[str, Any]) -> str:
    """Its address on the person's network, of which it has one only."""
    networks = row.get("NetworkSettings", {}).get("Networks") or {}
    return next((str(one["IPAddress"]) for one in networks.values() if one.get("IPAddress")), "")


def _attempt(labels: dict[str, str]) -> int:
    value = labels.get(LABEL_ATTEMPT, "0")
    return int(value) if value.isdigit() else 0


def _listed_port(row: dict[str, Any], wanted: str) -> tuple[str, int] | None:
    number = int(wanted.partition("/")[0])
    for port in row.get("Ports") or []:
        if port["PrivatePort"] == number and port.get("PublicPort"):
            return LOOPBACK, port["PublicPort"]
    return None


def _bound_port(found: dict[str, Any], wanted: str) -> tuple[str, int] | None:
    bound = (found["NetworkSettings"]["Ports"] or {}).get(wanted)
    return (LOOPBACK, int(bound[0]["HostPort"])) if bound else None
