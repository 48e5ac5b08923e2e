"""What the commands do at a portal that answers over a real socket."""

import pty
import stat
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign, lab_end, lab_exit_record, lab_gone, lab_log_record, lab_ready
from labs.people.hostkeys import host_key_tell
from tests.cli.conftest import Program
from tests.support.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9Mz1rUzI0bAPTv1sKCPAbH+ZDXbCnZ5MTnXE9qsHHy alice@laptop"
SignedIn = Callable[..., Program]


def started(lab: Lab, now: Any) -> Lab:
    assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[], now=now)
    assert lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=now)
    return Lab.objects.get(pk=lab.pk)


def test_a_lab_is_launched_listed_extended_and_stopped(signed_in: SignedIn, alice: Any, node: Any, now: Any) -> None:
    program = signed_in(alice)
    lab = program.json("launch", "thesis", "--no-wait", "--hours", "2")
    assert (lab["name"], lab["limits"]["hours"], lab["state"]) == ("thesis", 2, "queued")
    assert "thesis" in program("ls") and "waiting" in program("ls")
    started(Lab.objects.get(), now)
    assert "thesis runs until" in program("extend", "thesis", "--hours", "9")
    assert program.json("keep", "thesis")["id"] == lab["id"]
    assert program("open", "thesis").strip().endswith(f"/labs/{lab['id']}/")
    assert "stopping" in program("stop", "thesis")
    assert Lab.objects.get().target == "stopped"
    assert lab_gone(lab_id=lab["id"], now=now)
    assert "ended already" in program("stop", "thesis")


def test_what_cannot_be_is_said_in_the_portals_words(signed_in: SignedIn, alice: Any, node: Any) -> None:
    program = signed_in(alice)
    assert "limit" in program("launch", "--gpus", "9", "--no-wait", expect=1)
    assert "no lab 'nothing'" in program("stop", "nothing", expect=4)
    assert "no image 'tensorflow'" in program("launch", "--image", "tensorflow", expect=4)
    assert program.json("launch", "--gpus", "9", "--no-wait", expect=1)["problem"]["code"] == "over_limit"
    program("launch", "--no-such-option", expect=2)
    program.environment["GPULAB_TOKEN"] = "gpa_nothing"
    assert "sign-in has ended" in program("ls", expect=3)


def test_a_job_prints_its_log_and_ends_with_its_own_exit_code(signed_in: SignedIn, alice: Any, node: Any, now: Any) -> None:
    program = signed_in(alice)
    command = program.command("run", "--name", "train", "--", "python", "train.py", "--rate", "0.1")
    terminal = subprocess.Popen(command, env=program.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lab = started(wait_for(lambda: Lab.objects.first(), within=90, what="it is queued"), now)
    assert lab.command == ["python", "train.py", "--rate", "0.1"]
    lab_log_record(lab_id=lab.pk, attempt=1, tail="epoch 1\n")
    wait_for(lambda: Lab.objects.filter(log_tail="epoch 1\n").exists(), within=60)
    lab_exit_record(lab_id=lab.pk, attempt=1, exit_code=7)
    lab_end(lab_id=lab.pk, code="job_failed", now=now, log_tail="epoch 1\nepoch 2\n")
    assert lab_gone(lab_id=lab.pk, now=now)
    out, words = terminal.communicate(timeout=120)
    assert terminal.returncode == 7, words
    assert out == "epoch 1\nepoch 2\n"


def test_a_job_whose_time_was_up_ends_with_124(signed_in: SignedIn, alice: Any, node: Any, now: Any) -> None:
    program = signed_in(alice)
    terminal = subprocess.Popen(program.command("run", "--", "sleep", "9999"), env=program.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lab = started(wait_for(lambda: Lab.objects.first(), within=90, what="it is queued"), now)
    lab_end(lab_id=lab.pk, code="time_up", now=now)
    assert lab_gone(lab_id=lab.pk, now=now)
    terminal.communicate(timeout=120)
    assert terminal.returncode == 124


def test_a_job_is_kept_for_the_clock_listed_and_removed(signed_in: SignedIn, alice: Any, node: Any) -> None:
    gpulab = signed_in(alice)
    assert "nightly runs every day at 03:00. Next" in gpulab("run", "--name", "nightly", "--cron", "0 3 * * *", "--", "python", "train.py")
    assert "31 February" in gpulab("run", "--name", "never", "--cron", "0 0 31 2 *", "--", "true", expect=1)
    assert "--name" in gpulab("run", "--cron", "0 3 * * *", "--", "true", expect=2)
    (kept,) = gpulab.json("jobs")
    assert kept["cron"] == "0 3 * * *" and len(kept["next_runs"]) == 3
    assert "starts no more" in gpulab("jobs", "--remove", "nightly")
    assert "No job starts by itself" in gpulab("jobs")


def test_lists_are_tables_for_people_and_json_for_programs(signed_in: SignedIn, alice: Any, node: Any, image: Any) -> None:
    program = signed_in(alice)
    assert image.title in program("images") and program.json("images")[0]["slug"] == image.slug
    assert "not looked for" in program("images", image.slug) and program.json("images", str(image.pk))[0]["offered"]
    assert "There is no image" in program("images", "no-such-image", expect=4)
    assert "NVIDIA H200" in program("top", "--once") and len(program.json("top")) == 2
    assert "GPUs at once" in program("quota") and program.json("quota")[0]["limits"]["gpus_max"] == 4
    assert "Nobody waits" in program("queue") and program.json("queue") == []


def test_ssh_entries_are_written_for_labs_and_included_once(signed_in: SignedIn, alice: Any, lab_of: Any, now: Any) -> None:
    program, _ = signed_in(alice), started(lab_of(alice, name="thesis"), now)
    config = program.home / ".ssh/config"
    config.parent.mkdir()
    config.write_text("Host other\n  Port 22\n")
    host_key_tell(line=KEY, now=timezone.now())
    program("config-ssh")
    program("config-ssh")
    assert config.read_text() == "Include gpulab.config\n\nHost other\n  Port 22\n"
    entries = (config.parent / "gpulab.config").read_text()
    assert "Host gpulab-thesis\n" in entries and "  User thesis\n" in entries
    assert "  UserKnownHostsFile ~/.ssh/gpulab.known_hosts ~/.ssh/known_hosts\n" in entries
    known = (config.parent / "gpulab.known_hosts").read_text()
    assert known.endswith(f" {' '.join(KEY.split()[:2])}\n") and len(known.splitlines()) == 1
    assert stat.S_IMODE((config.parent / "gpulab.config").stat().st_mode) == 0o600


def test_a_public_key_is_added_and_a_private_one_never(signed_in: SignedIn, alice: Any, node: Any) -> None:
    program = signed_in(alice)
    (program.home / "id.pub").write_text(KEY)
    (program.home / "id").write_text("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert "SHA256:" in program("key", str(program.home / "id.pub"))
    assert "private" in program("key", str(program.home / "id"), expect=1)
    assert alice.ssh_keys.count() == 1


def test_copying_and_shells_go_through_the_gateway(signed_in: SignedIn, alice: Any, lab_of: Any, now: Any) -> None:
    program, _ = signed_in(alice), started(lab_of(alice, name="thesis"), now)
    tools = program.home / "tools"
    tools.mkdir()
    for name in ("ssh", "scp"):
        (tools / name).write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 5\n')
        (tools / name).chmod(0o755)
    program.environment["PATH"] = f"{tools}:/usr/bin:/bin"
    assert "thesis@" in program("ssh", "thesis", "nvidia-smi", "-L", expect=5)
    host_key_tell(line=KEY, now=timezone.now())
    assert "UserKnownHostsFile=~/.ssh/gpulab.known_hosts ~/.ssh/known_hosts" in program("ssh", "thesis", expect=5).splitlines()
    copied = program("cp", "a.zip", "thesis:data/", expect=5).splitlines()
    assert copied[-2] == "a.zip" and copied[-1].startswith("thesis@") and copied[-1].endswith(":data/")
    assert program("cp", "/data/at 12:30/a.zip", "thesis:", expect=5).splitlines()[-2] == "/data/at 12:30/a.zip"
    assert program("cp", "At 12:30.zip", "thesis:", expect=5).splitlines()[-2] == "./At 12:30.zip"  # to scp it would be a host's
    assert "One side is a lab" in program("cp", "a", "b", expect=2)
    (tools / "scp").write_text("#!/bin/sh\nexit 0\n")
    assert program.json("cp", "a.zip", "thesis:data/") == {"source": "a.zip", "target": "thesis:data/"}


def test_a_shell_in_a_lab_that_waits_is_the_gateways_to_offer_before_a_terminal_and_told_to_a_script(signed_in: SignedIn, alice: Any, lab_of: Any) -> None:
    program, _ = signed_in(alice), lab_of(alice, name="thesis")
    tools = program.home / "tools"
    tools.mkdir()
    (tools / "ssh").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tools / "ssh").chmod(0o755)
    program.environment["PATH"] = f"{tools}:/usr/bin:/bin"
    assert "thesis does not run" in program("ssh", "thesis", expect=1)
    _, terminal = pty.openpty()
    asked = subprocess.run(program.command("ssh", "thesis"), stdin=terminal, env=program.environ(), capture_output=True, text=True, timeout=60, check=True)
    assert "thesis@" in asked.stdout
    commanded = program.command("ssh", "thesis", "true")
    assert subprocess.run(commanded, stdin=terminal, env=program.environ(), capture_output=True, timeout=60, check=False).returncode == 1
