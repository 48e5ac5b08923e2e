"""Whose a port is where labs share the machine's network: told by the kernel's tables, tried on tables of our own."""

from pathlib import Path

import pytest

from worker.relay import listeners

NAME = "gpulab-abcdefghijkl-1"
LISTENS = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 777 1 0000 100 0 0 10 0"
TALKS = LISTENS.replace(" 0A ", " 01 ").replace("777", "778")


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Port 8080 is listened on by pid 30, below the keeper (pid 20) of alice's lab; pid 40 is somebody else's."""
    monkeypatch.setattr(listeners, "_known", {})
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text(f"  sl  local_address rem_address   st\n{LISTENS}\n{TALKS}\n")
    _process(tmp_path, 20, 1, "python", "-m", "worker.runtimes.process.keeper", f"/home/run/{NAME}")
    _process(tmp_path, 30, 20, "python", "app.py")
    _process(tmp_path, 40, 1, "redis-server", NAME)
    (tmp_path / "30/fd/3").symlink_to("socket:[777]")
    return tmp_path


def _process(proc: Path, pid: int, parent: int, *words: str) -> None:
    (proc / str(pid) / "fd").mkdir(parents=True)
    (proc / str(pid) / "cmdline").write_text("\0".join(words) + "\0")
    (proc / str(pid) / "stat").write_text(f"{pid} (a name) with) S {parent} 0 0")


def test_a_port_is_the_labs_below_whose_keeper_it_is_listened_on(proc: Path) -> None:
    assert listeners.belongs(8080, NAME, proc=proc)
    assert not listeners.belongs(8080, NAME.replace("abc", "xyz"), proc=proc)
    assert not listeners.belongs(8081, NAME, proc=proc)


def test_a_name_in_the_arguments_of_another_program_makes_no_lab_of_it(proc: Path) -> None:
    (proc / "30/fd/3").unlink()
    (proc / "40/fd/3").symlink_to("socket:[777]")
    assert not listeners.belongs(8080, NAME, proc=proc)


def test_a_yes_is_believed_for_a_while_and_a_no_never(proc: Path) -> None:
    assert not listeners.belongs(8081, NAME, proc=proc)
    (proc / "net/tcp").write_text(f"sl\n{LISTENS}\n{LISTENS.replace('1F90', '1F91')}\n")
    assert listeners.belongs(8081, NAME, proc=proc)
    (proc / "30/fd/3").unlink()
    assert listeners.belongs(8081, NAME, proc=proc)
    listeners._known.clear()
    assert not listeners.belongs(8081, NAME, proc=proc)
