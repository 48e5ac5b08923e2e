"""Which runtime this node takes, and why, in words that the log and the nodes page show."""

from collections.abc import Callable

from worker.runtimes.base import RuntimeFault

KINDS = ("auto", "docker", "process")


def choose(kind: str, docker_answers: Callable[[], str]) -> tuple[str, str]:
    """(kind, why) for the wish `kind`: auto takes Docker exactly when an engine answers.

    `docker_answers` returns the engine's version or raises RuntimeFault; it is asked only for auto.
    """
    if kind not in KINDS:
        raise ValueError(f"GPULAB_RUNTIME is {kind!r}; it must be one of {', '.join(KINDS)}.")
    if kind != "auto":
        return kind, f"GPULAB_RUNTIME={kind} asks for it"
    try:
        version = docker_answers()
    except RuntimeFault as fault:
        return "process", f"no container engine answers ({_reason(fault)}), so labs are plain processes: not isolated from each other"
    return "docker", f"a container engine answers (version {version})"


def _reason(fault: RuntimeFault) -> str:
    """The two usual reasons in plain words, any other in the engine's own."""
    said = f"{fault.words} {fault.detail}"
    if "FileNotFoundError" in said:
        return "there is no engine's socket on this machine"
    if "PermissionError" in said:
        return "this user may not open the engine's socket; a member of the group docker may"
    return fault.words.rstrip(".")
