"""Which runtime is taken, and why."""

import pytest

from worker.runtimes.base import RuntimeFault
from worker.runtimes.choose import choose


def silent() -> str:
    """No engine."""
    raise RuntimeFault("nothing listens on unix:///var/run/docker.sock.")


def never() -> str:
    """Must not be asked."""
    raise AssertionError("the engine was asked")


def test_auto_takes_docker_where_an_engine_answers() -> None:
    assert choose("auto", lambda: "20.10.24") == ("docker", "a container engine answers (version 20.10.24)")


def test_auto_takes_processes_where_none_answers_and_says_what_that_means() -> None:
    kind, why = choose("auto", silent)
    assert kind == "process"
    assert "nothing listens on unix:///var/run/docker.sock)" in why
    assert "not isolated from each other" in why


@pytest.mark.parametrize("kind", ["docker", "process"])
def test_a_forced_runtime_is_taken_without_asking(kind: str) -> None:
    assert choose(kind, never) == (kind, f"GPULAB_RUNTIME={kind} asks for it")


def test_nonsense_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="one of auto, docker, process"):
        choose("podman", never)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Error while fetching server API version: FileNotFoundError(2, 'No such file or directory')", "there is no engine's socket"),
        ("Error while fetching server API version: PermissionError(13, 'Permission denied')", "a member of the group docker may"),
    ],
)
def test_the_usual_reasons_are_told_in_plain_words(said: str, told: str) -> None:
    def refusing() -> str:
        raise RuntimeFault(f"The container engine does not answer: {said}")

    kind, why = choose("auto", refusing)
    assert kind == "process"
    assert told in why
    assert "Error" not in why
