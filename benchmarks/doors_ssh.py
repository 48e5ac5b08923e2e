"""SSH through the gateway beside the lab's own sshd met directly: `python -m benchmarks.doors_ssh [--json FILE]`.

The gateway and the relay's byte door run in a process of their own, as they are served; OpenSSH's client and server are at both ends.
"""

import argparse
import asyncio
import getpass
import json
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop

from labs.lifecycle import states
from labs.lifecycle.routes import Person, RelaySnapshot, Route
from portal.ssh.found import Found, Progress
from portal.ssh.gateway import Gateway
from portal.ssh.hostkeys import keys_of
from portal.ssh.tunnel import Way
from worker.relay.bytes_door import CHUNK, ByteDoor
from worker.relay.links import Links
from worker.relay.table import Table

PASS_KEY = b"p" * 32
LAB = "aaaaaaaaaaaa"
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Figure:
    """One measure: through the gateway, met directly, and the one as a share of the other."""

    what: str
    unit: str
    gateway: float
    direct: float
    ratio: float


class OneLab:
    """A directory in which every key is alice's, who has one lab."""

    def find(self, fingerprint: str, name: str) -> Found | None:
        """Hers."""
        return Found(1, 1, LAB)

    def standing(self, key_ids: Any) -> set[int]:
        """All."""
        return set(key_ids)

    def touch(self, key_id: int, lab_id: str) -> None:
        """Not noted."""

    def known_by(self, host_key: str) -> None:
        """Not noted."""

    def start(self, found: Found) -> Found:
        """It runs."""
        return found

    def progress(self, found: Found) -> Progress:
        """It runs."""
        return Progress("It runs.", ready=True)


def gateway_run(folder: str, port: int, bytes_port: int, lab_port: int) -> None:
    """The process that is measured."""
    uvloop.run(_serve(Path(folder), port, bytes_port, lab_port))


async def _serve(folder: Path, port: int, bytes_port: int, lab_port: int) -> None:
    route = Route(LAB, 1, 1, states.RUNNING, ("127.0.0.1", 1), ("127.0.0.1", lab_port))
    snapshot = RelaySnapshot(routes={LAB: route}, people={1: Person(True, False, 0.0)})
    table = Table(lambda: snapshot)
    await table.refresh()
    door = await asyncio.start_server(ByteDoor(table=table, links=Links(table), key=PASS_KEY).serve, "127.0.0.1", bytes_port, limit=CHUNK)
    keys = keys_of(folder / "keys", client_key=(folder / "gateway").read_bytes())
    gateway = Gateway(OneLab(), Way(("127.0.0.1", bytes_port), PASS_KEY, keys.clients, username=getpass.getuser()))
    acceptor = await gateway.listen("127.0.0.1", port, host_key=keys.host)
    async with door:
        await acceptor.wait_closed()


@contextmanager
def house() -> Iterator[tuple[Path, int, int, int]]:
    """A folder with keys, the lab's port, the gateway's port and its process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for key in ("alice", "gateway", "host"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
        lab_port, port, bytes_port = free_ports(3)
        sshd = lab_sshd(folder, lab_port)
        process = multiprocessing.Process(target=gateway_run, args=(name, port, bytes_port, lab_port))
        process.start()
        try:
            answered(lab_port)
            answered(port)
            yield folder, lab_port, port, process.pid or 0
        finally:
            process.terminate()
            process.join(10)
            sshd.terminate()
            sshd.wait(10)


def lab_sshd(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """OpenSSH's server as in a lab; the direct client's key opens it too."""
    (folder / "authorized_keys").write_text((folder / "gateway.pub").read_text() + (folder / "alice.pub").read_text())
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nAuthorizedKeysFile {folder}/authorized_keys\n"
        "AuthenticationMethods publickey\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    return subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", str(folder / "sshd_config")], stderr=subprocess.DEVNULL)


def client(folder: Path, port: int, *command: str) -> list[str]:
    """OpenSSH's client, with nothing of the machine's own settings."""
    options = ("BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
    flags = [part for option in options for part in ("-o", option)]
    return ["ssh", "-F", "/dev/null", "-i", str(folder / "alice"), *flags, "-p", str(port), f"{getpass.getuser()}@127.0.0.1", *command]


def connected_s(folder: Path, port: int) -> float:
    """From the call of the client to its end, having run `true`."""
    began = time.perf_counter()
    subprocess.run(client(folder, port, "true"), check=True, timeout=60)
    return time.perf_counter() - began


def download_mib_s(folder: Path, port: int, mib: int) -> float:
    """Bytes of the lab to the client."""
    began = time.perf_counter()
    subprocess.run(client(folder, port, f"head -c {mib * MIB} /dev/zero"), check=True, timeout=600, stdout=subprocess.DEVNULL)
    return mib / (time.perf_counter() - began)


def upload_mib_s(folder: Path, port: int, mib: int) -> float:
    """Bytes of the client to the lab."""
    began = time.perf_counter()
    sent = subprocess.Popen(["head", "-c", str(mib * MIB), "/dev/zero"], stdout=subprocess.PIPE)
    subprocess.run(client(folder, port, "cat >/dev/null"), check=True, timeout=600, stdin=sent.stdout)
    return mib / (time.perf_counter() - began)


def slowly(folder: Path, port: int, mib: int) -> None:
    """An upload to a reader in the lab that stops and goes, and a download to such a client: what waits is somebody's memory."""
    reader = f"for i in $(seq {mib // 4}); do head -c {4 * MIB} >/dev/null; sleep 0.02; done"
    sent = subprocess.Popen(["head", "-c", str(mib * MIB), "/dev/zero"], stdout=subprocess.PIPE)
    subprocess.run(client(folder, port, reader), check=True, timeout=600, stdin=sent.stdout)
    received = subprocess.Popen(client(folder, port, f"head -c {mib * MIB} /dev/zero"), stdout=subprocess.PIPE)
    subprocess.run(["sh", "-c", reader], check=True, timeout=600, stdin=received.stdout)
    received.wait(60)


def peak_mib(pid: int) -> float:
    """What a process had in memory at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


def compared(what: str, unit: str, measure: Callable[[int], float], ports: tuple[int, int], times: int) -> Figure:
    """Medians of both, taken in turns, so that whatever else the machine does is in both."""
    found = [(measure(ports[0]), measure(ports[1])) for _ in range(times)]
    gateway, direct = (statistics.median(side) for side in zip(*found, strict=True))
    return Figure(what, unit, round(gateway, 3), round(direct, 3), round(gateway / direct, 3))


def measured(*, times: int, mib: int) -> list[Figure]:
    """Everything."""
    with house() as (folder, lab_port, port, pid):
        ports = (port, lab_port)
        slowly(folder, port, 64)
        before = peak_mib(pid)
        found = [
            compared("connected, median", "s", lambda one: connected_s(folder, one), ports, times),
            compared("download", "MiB/s", lambda one: download_mib_s(folder, one, mib), ports, 3),
            compared("upload", "MiB/s", lambda one: upload_mib_s(folder, one, mib), ports, 3),
        ]
        slowly(folder, port, 2 * mib)
        return [*found, Figure(f"peak memory grown by {10 * mib} MiB", "MiB", round(peak_mib(pid) - before, 1), 0.0, 0.0)]


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def answered(port: int) -> None:
    """Wait until somebody listens there."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="SSH through the gateway beside the lab's own sshd")
    parser.add_argument("--times", type=int, default=15, help="connections of each kind")
    parser.add_argument("--mib", type=int, default=256, help="MiB carried at once")
    parser.add_argument("--json", metavar="FILE")
    asked = parser.parse_args()
    if not shutil.which("ssh") or not Path("/usr/sbin/sshd").exists():
        sys.exit("needs OpenSSH's client and server")
    found = measured(times=asked.times, mib=asked.mib)
    for figure in found:
        print(f"{figure.what:36} {figure.gateway:9.3f} {figure.unit:6} direct {figure.direct:9.3f}   ratio {figure.ratio:6.3f}")
    if asked.json:
        Path(asked.json).write_text(json.dumps([asdict(figure) for figure in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
