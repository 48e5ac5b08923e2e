"""SIGUSR1 to the programs of a lab that catch it, and to no other: its default action ends a program.

Asked and sent from inside the lab, as its user: whatever goes wrong there can reach nobody else. The shell's own commands
do it all, so that a lab at its limit of memory or processes is asked for one small process and no more.
"""

from typing import Any

from worker.runtimes.docker.client import HTTP_CONFLICT, APIError, NotFound, faults
from worker.runtimes.docker.heard import said

#: SIGUSR1 is bit 9 of the mask of caught signals: the third digit from its end, where that has a 2 in it.
SCRIPT = """
for folder in /proc/[0-9]*; do
  while read -r name mask rest; do
    case $name$mask in SigCgt:*[2367abef]??) kill -USR1 "${folder#/proc/}" && echo "${folder#/proc/}" ;; esac
  done <"$folder/status"
done 2>/dev/null
"""


def catchers_signal(api: Any, container: str) -> int:
    """How many programs were sent it; 0 when the lab is gone."""
    with faults("The lab's programs could not be told"):
        try:
            made = api.exec_create(container, ["/bin/sh", "-c", SCRIPT], stderr=False)
        except NotFound:
            return 0
        except APIError as error:
            if error.status_code == HTTP_CONFLICT:  # it does not run any more
                return 0
            raise
        return len(said(api, made["Id"]).split())
