"""The gateway before a real sshd, through the relay's own byte door, met by OpenSSH's own client."""

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from labs.lifecycle import states
from labs.lifecycle.routes import Person, RelaySnapshot, Route
from portal.ssh.found import Found, Progress
from portal.ssh.gateway import Gateway
from portal.ssh.hostkeys import GatewayKeys, keys_of
from portal.ssh.tunnel import Way
from tests.support.ports import port_free
from tests.support.waiting import wait_for
from worker.relay.bytes_door import CHUNK, ByteDoor
from worker.relay.links import Links
from worker.relay.table import Table

PASS_KEY = b"p" * 32
ALICE, BOB = 1, 2
LAB, STOPPED, BOBS = "aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"
SSHD = "/usr/sbin/sshd"
#: As whom the tests run, whatever their environment says.
ME = pwd.getpwuid(os.geteuid()).pw_name


@dataclass
class Book:
    """The directory of a test: whose key is which, and what has been revoked."""

    people: dict[str, int] = field(default_factory=dict)
    revoked: set[int] = field(default_factory=set)
    touched: list[int] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    ready: threading.Event = field(default_factory=threading.Event)
    labs: dict[tuple[int, str], Found] = field(
        default_factory=lambda: {
            (ALICE, "resnet"): Found(ALICE, ALICE, LAB),
            (ALICE, LAB): Found(ALICE, ALICE, LAB),
            (ALICE, "old"): Found(ALICE, ALICE, STOPPED, "old is not running.", "Start it again at http://portal/labs/b/", "Start it again?", comes=True),
            (ALICE, "slow"): Found(ALICE, ALICE, LAB, "slow cannot be entered yet: it is waiting.", "http://portal/labs/a/", comes=True),
            (BOB, "bobs"): Found(BOB, BOB, BOBS),
        }
    )

    def find(self, fingerprint: str, name: str) -> Found | None:
        return self.labs.get((self.people.get(fingerprint, 0), name))

    def standing(self, key_ids: Any) -> set[int]:
        return set(key_ids) - self.revoked

    def touch(self, key_id: int, lab_id: str) -> None:
        self.touched.append(key_id)

    def known_by(self, host_key: str) -> None:
        """Told when the gateway is served as a process."""

    def start(self, found: Found) -> Found:
        self.started.append(found.lab_id)
        self.ready.set()
        return replace(found, lab_id=LAB)

    def progress(self, found: Found) -> Progress:
        return Progress("It runs.", ready=True) if self.ready.is_set() else Progress("Place 2 in the queue.", again_s=0.1)


@dataclass
class House:
    """A gateway that serves, and OpenSSH's client before it."""

    folder: Path
    book: Book
    port: int
    loop: asyncio.AbstractEventLoop
    gateway: Gateway
    table: Table
    snapshot: RelaySnapshot
    told: list[RelaySnapshot]
    lab_port: int
    lab_folder: Path

    def options(self, person: str = "alice") -> list[str]:
        """Nothing of the machine's own SSH settings, and this person's key."""
        known = f"UserKnownHostsFile={self.folder}/known_hosts"
        return ["-F", "/dev/null", "-i", f"{self.folder}/{person}", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", known,
                "-o", "StrictHostKeyChecking=accept-new", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]  # fmt: skip

    def ssh(self, *words: str, lab: str = "resnet", person: str = "alice", options: tuple[str, ...] = (), **how: Any) -> "subprocess.CompletedProcess[bytes]":
        """Run OpenSSH's client to its end."""
        command = ["ssh", *options, *self.options(person), "-p", str(self.port), f"{lab}@127.0.0.1", *words]
        return subprocess.run(command, capture_output=True, timeout=90, **({"stdin": subprocess.DEVNULL} if "input" not in how else {}), **how)

    def open(self, *words: str, options: tuple[str, ...] = ()) -> "subprocess.Popen[bytes]":
        """Start OpenSSH's client and leave it running."""
        command = ["ssh", *options, *self.options(), "-p", str(self.port), "resnet@127.0.0.1", *words]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run something on the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)


def _make_key(path: Path) -> str:
    """A key pair by OpenSSH; its fingerprint."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)], check=True)
    listed = subprocess.run(["ssh-keygen", "-lf", f"{path}.pub"], check=True, capture_output=True, text=True)
    return listed.stdout.split()[1]


def _pem(path: Path) -> bytes:
    """A new private key, in OpenSSH's form."""
    _make_key(path)
    return path.read_bytes()


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, GatewayKeys, Path]]:
    """A lab's sshd: Debian's own, taking the gateway's key only, as the user of the tests."""
    for program in (SSHD, "ssh", "scp", "sftp", "rsync"):
        if shutil.which(program) is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(f"needs {program}")
    folder = tmp_path_factory.mktemp("lab")
    keys = keys_of(folder / "gateway-keys", client_key=_pem(folder / "gateway"))
    _make_key(folder / "host")
    (folder / "authorized_keys").write_bytes((folder / "gateway.pub").read_bytes())
    port = port_free()
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nAuthorizedKeysFile {folder}/authorized_keys\n"
        "AuthenticationMethods publickey\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nAcceptEnv LANG LC_*\nSetEnv LAB_VARIABLE=of-the-lab\n"
        "Subsystem sftp internal-sftp\nAllowAgentForwarding yes\nX11Forwarding yes\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=(folder / "log").open("wb"))
    try:
        wait_for(lambda: answers(port), what="the lab's sshd")
        yield port, keys, folder
    finally:
        server.terminate()
        server.wait(30)


def answers(port: int) -> bool:
    """Does anybody listen there?"""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def house(sshd: tuple[int, GatewayKeys, Path], tmp_path: Path) -> Iterator[House]:
    """A gateway and a relay on a loop of their own thread; alice, bob and a stranger have keys."""
    port, keys, lab_folder = sshd
    book = Book()
    for name, user_id in (("alice", ALICE), ("bob", BOB), ("charlie", 0)):
        fingerprint = _make_key(tmp_path / name)
        if user_id:
            book.people[fingerprint] = user_id
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    served = _serve((port, lab_folder), keys, book, tmp_path, loop)
    try:
        yield asyncio.run_coroutine_threadsafe(served.__aenter__(), loop).result(60)
    finally:
        asyncio.run_coroutine_threadsafe(served.__aexit__(None, None, None), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


@asynccontextmanager
async def _serve(lab: tuple[int, Path], keys: GatewayKeys, book: Book, folder: Path, loop: asyncio.AbstractEventLoop) -> AsyncIterator[House]:
    lab_port, lab_folder = lab
    routes = {LAB: Route(LAB, 1, ALICE, states.RUNNING, ("127.0.0.1", 1), ("127.0.0.1", lab_port))}
    snapshot = RelaySnapshot(routes=routes, people={ALICE: Person(True, False, 0.0), BOB: Person(True, False, 0.0)})
    told = [snapshot]
    table = Table(lambda: told[0])
    await table.refresh()
    door = await asyncio.start_server(ByteDoor(table=table, links=Links(table), key=PASS_KEY).serve, "127.0.0.1", 0, limit=CHUNK)
    gateway = Gateway(book, Way(door.sockets[0].getsockname(), PASS_KEY, keys.clients, username=ME))
    acceptor = await gateway.listen("127.0.0.1", 0, host_key=keys.host)
    clock = asyncio.create_task(gateway.sessions.run())
    house = House(folder, book, acceptor.get_port(), loop, gateway, table, snapshot, told, lab_port, lab_folder)
    try:
        yield house
    finally:
        clock.cancel()
        acceptor.close()
        door.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # closing transports say goodbye in the loop's next round
