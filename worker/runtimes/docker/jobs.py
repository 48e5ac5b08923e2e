"""Short programs of the house in an image, and in a lab that runs: looking inside, and trying it out."""

import codecs
import contextlib
from collections.abc import Sequence
from typing import Any

from worker.runtimes.base import RuntimeFault
from worker.runtimes.docker.bounds import NOBODY, host_bounded
from worker.runtimes.docker.client import PATIENCE_S, Engine, NotFound, faults
from worker.runtimes.docker.heard import heard, said
from worker.runtimes.makes import Hear

LABEL_JOB = "gpulab.job"
#: How much longer than its own time a program may take to begin and to end.
SPARE_S = 30
#: A lab has 1024. Whoever waited for an image has a lab of it started at the same moment: what looks inside gives way to that.
CPU_SHARES = 256
#: Written to a file first, so that a program can start itself again; ended in time by a parent, since the first process of a container takes no alarm.
RUN_FILE = """
import subprocess, sys
open("/tmp/gpulab-job.py", "w").write(sys.argv[1])
try:
    sys.exit(subprocess.run([sys.executable, "-I", "/tmp/gpulab-job.py", *sys.argv[3:]], timeout=int(sys.argv[2])).returncode)
except subprocess.TimeoutExpired:
    sys.exit("It did not come to its end in time.")
"""


def image_job(engine: Engine, *, image: str, name: str, node_id: str, script: str, within_s: int) -> str:
    """What a program says that runs in a container of the image: no network, no rights, nothing of anybody's. The container is removed."""
    with faults("It could not be looked inside the image"):
        _gone(engine.api, name)
        try:
            made = engine.api.create_container_from_config(_config(image, node_id, script, within_s), name)
            engine.api.start(made["Id"])
            code = engine.patient.wait(made["Id"], timeout=within_s + SPARE_S)["StatusCode"]
            told: bytes = engine.api.logs(made["Id"], stdout=True, stderr=code != 0, tail=200)
        finally:
            _gone(engine.api, name)
    text = told.decode(errors="replace")
    if code:
        raise RuntimeFault(f"The image's own Python could not tell what is inside (exit {code}).", detail=text, transient=False)
    return text


def _gone(api: Any, name: str) -> None:
    with contextlib.suppress(NotFound):
        api.remove_container(name, force=True)


def _config(image: str, node_id: str, script: str, within_s: int) -> dict[str, Any]:
    return {
        "Image": image,
        "Entrypoint": ["python3", "-I", "-c", RUN_FILE, script, str(within_s)],
        "Cmd": [],
        "User": NOBODY,
        "Env": ["HOME=/tmp", "NVIDIA_VISIBLE_DEVICES=void"],
        "Labels": {LABEL_JOB: node_id},
        "NetworkDisabled": True,
        "HostConfig": host_bounded(CpuShares=CPU_SHARES, Tmpfs={"/tmp": "rw,nosuid,nodev,exec,size=256m,mode=1777"}),  # noqa: S108  (in the container)
    }


def lab_job(engine: Engine, *, name: str, script: str, arguments: Sequence[str], within_s: int) -> tuple[int, str]:
    """Run a program in a lab that runs, as its user and inside its limits: its exit code and what it said."""
    command = ["python3", "-I", "-c", RUN_FILE, script, str(within_s), *arguments]
    with faults("The lab could not be asked"):
        try:
            made = engine.api.exec_create(name, command, environment={"HOME": "/tmp"})  # noqa: S108  (in the container)
            answer = said(engine.api, made["Id"], within_s=within_s + SPARE_S)
            code = engine.api.exec_inspect(made["Id"])["ExitCode"]
        except NotFound as error:
            raise RuntimeFault("The lab is gone.", detail=name) from error
    return int(code) if code is not None else 1, answer.decode(errors="replace")


def lab_heard(engine: Engine, *, name: str, script: str, arguments: Sequence[str], hear: Hear) -> int:
    """Run a program in a lab and pass on what it says while it says it; its exit code."""
    with faults("The lab could not be asked"):
        try:
            made = engine.api.exec_create(name, ["python3", "-I", "-u", "-c", script, *arguments], environment={"HOME": "/tmp"})  # noqa: S108  (in the container)
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            for piece in heard(engine.api, made["Id"], PATIENCE_S, anew=True):
                hear(decoder.decode(piece))
            code = engine.api.exec_inspect(made["Id"])["ExitCode"]
        except NotFound as error:
            raise RuntimeFault("The lab is gone.", detail=name) from error
    return int(code) if code is not None else 1
