"""Which versions of the host's software this worker finds, judged against those that are known to be safe."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache

from labs.fleet.queries import version_rules
from labs.fleet.versions import versions_judge
from worker.runtimes.base import Check

TOOLKIT = "nvidia-container-toolkit"
#: Programs of NVIDIA's toolkit that say its version, and how.
PROGRAMS = ("nvidia-ctk", "nvidia-container-runtime-hook", "nvidia-container-cli")
VERSION = re.compile(r"version:?\s+v?(\d\S*)")


def version_checks(*, runtime: Mapping[str, str], driver: str) -> list[Check]:
    """One line a component: what the runtime says of itself, the driver, and the toolkit where there are both. `driver` is empty without one."""
    found = dict(runtime)
    if driver:
        found["nvidia-driver"] = driver
    if driver and runtime:
        found[TOOLKIT] = toolkit_version()
    return [Check(one.name, one.state, one.words, one.fix) for one in versions_judge(found, version_rules())]


@cache
def toolkit_version() -> str:
    """The toolkit's version; empty where none of its programs is found by this worker. Asked once: a new one comes with a restart."""
    for program in filter(shutil.which, PROGRAMS):
        try:
            said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=5, check=False).stdout
        except (OSError, subprocess.TimeoutExpired):
            continue
        if version := VERSION.search(said):
            return version.group(1).rstrip(",")
    return ""
