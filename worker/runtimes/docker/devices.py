"""Can a lab still open its GPUs? Asked from inside, as its user: a host that reloads its units takes devices away from containers that run."""

from typing import Any

from worker.runtimes.docker.client import HTTP_CONFLICT, APIError, NotFound, faults
from worker.runtimes.docker.heard import said

#: The one device that every CUDA program opens first. Opening it wakes no card.
DEVICE = "/dev/nvidiactl"
SCRIPT = f'[ ! -e {DEVICE} ] || ( : <{DEVICE} ) 2>/dev/null || echo "{DEVICE}"'


def device_shut(api: Any, container: str) -> str:
    """The device that is there and cannot be opened; empty when all is well, the lab has none, or is gone."""
    with faults("The lab could not be asked for its GPUs"):
        try:
            made = api.exec_create(container, ["/bin/sh", "-c", SCRIPT], stderr=False)
        except NotFound:
            return ""
        except APIError as error:
            if error.status_code == HTTP_CONFLICT:  # it does not run any more
                return ""
            raise
        return DEVICE if said(api, made["Id"]).decode(errors="replace").strip() == DEVICE else ""
