"""The SSH server of a process lab, met by OpenSSH's own client as the gateway meets it."""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.ports import port_free
from tests.support.waiting import wait_for
from worker.runtimes.process import labsshd

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Lab:
    """A server under the test's own user, and the gateway's key."""

    folder: Path
    port: int
    pid: int

    def command(self, *words: str, options: tuple[str, ...] = ()) -> list[str]:
        flags = [f"UserKnownHostsFile={self.folder}/known", "StrictHostKeyChecking=accept-new", "BatchMode=yes", "IdentitiesOnly=yes", "LogLevel=ERROR"]
        said = [part for flag in flags for part in ("-o", flag)]
        return [
            "ssh",
            "-F",
            "/dev/null",
            "-i",
            str(self.folder / "gateway"),
            *said,
            *options,
            "-p",
            str(self.port),
            f"{pwd.getpwuid(os.geteuid()).pw_name}@127.0.0.1",
            *words,
        ]

    def peak_mib(self) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Started as the keeper starts it."""
    folder, port = tmp_path_factory.mktemp("labsshd"), port_free()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "gateway")], check=True)
    server = subprocess.Popen([sys.executable, "-I", labsshd.__file__, str(port), str(folder / "host" / "key"), str(folder / "gateway.pub")])
    made = Lab(folder, port, server.pid)
    try:
        wait_for(lambda: subprocess.run(made.command("true"), capture_output=True, timeout=90).returncode == 0, within=90, what="the lab's sshd")
        yield made
    finally:
        server.terminate()
        server.wait(30)


def test_a_port_of_the_lab_leads_back_to_the_client_and_listens_on_the_loopback_only(lab: Lab) -> None:
    port = port_free()
    seen = f"ss -Hltn 'sport = :{port}' | awk '{{print $4}}'"
    told = subprocess.run(lab.command(seen, options=("-R", f"localhost:{port}:localhost:1", "-o", "ExitOnForwardFailure=yes")), capture_output=True, timeout=90)
    assert told.returncode == 0 and {line.rpartition(b":")[0] for line in told.stdout.split()} <= {b"127.0.0.1", b"[::1]"} and told.stdout
    everywhere = lab.command("true", options=("-R", f"0.0.0.0:{port}:localhost:1", "-o", "ExitOnForwardFailure=yes"))
    refused = subprocess.run(everywhere, capture_output=True, timeout=90)
    assert refused.returncode == 255


def test_a_program_that_reads_slowly_does_not_fill_the_labs_memory(lab: Lab) -> None:
    reader = f"for i in $(seq 40); do head -c {4 * MIB} >/dev/null; sleep 0.02; done"
    before = lab.peak_mib()
    sent = subprocess.Popen(["head", "-c", str(160 * MIB), "/dev/zero"], stdout=subprocess.PIPE)
    subprocess.run(lab.command(reader), check=True, timeout=120, stdin=sent.stdout)
    assert lab.peak_mib() - before < 40
