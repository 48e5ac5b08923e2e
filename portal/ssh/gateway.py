"""The gateway: one port for the whole house, where a public key is a person and the user name is their lab."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import asyncssh

from portal.ssh import forwarding, offer, tunnel
from portal.ssh.bridge import Near
from portal.ssh.found import Directory, Found
from portal.ssh.pace import WINDOW
from portal.ssh.sessions import Sessions
from portal.ssh.tries import Tries
from portal.ssh.tunnel import Unreachable, Way

log = logging.getLogger(__name__)
#: Keys that one connection may try; agents offer all that they hold.
KEYS_TRIED_MOST = 20
NAME_MOST = 64
LOGIN_S = 20


@dataclass(slots=True)
class Gateway:
    """What every connection shares. `admits` says whether the door is open to an address at all."""

    directory: Directory
    way: Way
    admits: Callable[[str], bool] = lambda address: True
    tries: Tries = field(default_factory=Tries)
    sessions: Sessions = field(init=False)

    def __post_init__(self) -> None:
        self.sessions = Sessions(self.directory)

    async def listen(self, host: str, port: int, *, host_key: asyncssh.SSHKey) -> asyncssh.SSHAcceptor:
        """Serve from now on, people by public key only."""
        return await asyncssh.create_server(
            lambda: Visitor(self),
            host,
            port,
            server_host_keys=[host_key],
            public_key_auth=True,
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_auth=False,
            gss_kex=False,
            gss_host=None,
            agent_forwarding=False,
            x11_forwarding=False,
            allow_scp=False,
            line_editor=False,
            encoding=None,
            window=WINDOW,
            compression_algs=None,
            login_timeout=LOGIN_S,
            keepalive_interval=30,
            server_version="GPULab",
        )


class Visitor(asyncssh.SSHServer):
    """One connection: a person, once a key has said who, and the one lab of theirs that it is for."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._conn: asyncssh.SSHServerConnection
        self._address = ""
        self._stranger = False
        self._name = ""
        self._tried = 0
        self._found: dict[str, Found] = {}
        self._who: Found | None = None
        self._lab: asyncio.Task[asyncssh.SSHClientConnection] | None = None
        self._touching: asyncio.Task[None] | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Somebody knocks. Where the door is closed, or crowded, they hear nothing."""
        self._conn = conn
        self._address = (conn.get_extra_info("peername") or ("",))[0]
        self._stranger = self._gateway.admits(self._address) and self._gateway.tries.enter(self._address)
        if not self._stranger:
            conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """They left: hang up in the lab."""
        if self._stranger:
            self._gateway.tries.known(self._address)
            if self._tried:
                self._gateway.tries.failed(self._address, self._name, now=time.monotonic())
        self._gateway.sessions.remove(self._cut)
        if self._lab is not None:
            self._lab.cancel()
            if self._lab.done() and not self._lab.cancelled() and self._lab.exception() is None:
                self._lab.result().close()

    def begin_auth(self, username: str) -> bool:
        """The user name is the lab's name; nobody enters without a key."""
        self._name = username[:NAME_MOST]
        return True

    def public_key_auth_supported(self) -> bool:
        """The only way in."""
        return True

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Does the key's owner have a lab of that name? Every no is the same, and takes the same time."""
        started = time.monotonic()
        fingerprint = key.get_fingerprint()
        if fingerprint not in self._found:
            self._tried += 1
            found = await self._looked_up(fingerprint) if self._tried <= KEYS_TRIED_MOST else None
            if found is None:
                wait_s = self._gateway.tries.refusal_s(self._address, self._name, now=started)
                await asyncio.sleep(max(0.0, started + wait_s - time.monotonic()))
                return False
            self._found = {fingerprint: found}
        self._who = self._found[fingerprint]
        return True

    def auth_completed(self) -> None:
        """The signature was good: begin the way to the lab at once, before the client says what it wants."""
        if self._who is None:
            raise asyncssh.PermissionDenied("no key")
        self._stranger = False
        self._gateway.tries.known(self._address)
        self._gateway.sessions.add(self._who.key_id, self._cut)
        if not self._who.closed:
            self._begin(self._who)
        else:
            self._touch(self._who.key_id, "")

    def session_requested(self) -> Near:
        """A shell, a command or sftp: in the lab."""
        return Near(self._entered)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Awaitable[asyncssh.SSHTCPSession[bytes]]:
        """Local forwarding: to ports of the lab itself."""
        forwarding.outward_check(dest_host)
        return self._forwarded(dest_host, dest_port)

    def unix_connection_requested(self, dest_path: str) -> Awaitable[asyncssh.SSHUNIXSession[bytes]]:
        """The same for a socket in the lab's files: its sshd opens it, as the lab's user."""
        return self._forwarded_unix(dest_path)

    def server_requested(self, listen_host: str, listen_port: int) -> Awaitable[asyncssh.SSHListener | None] | bool:
        """Remote forwarding: a port on the lab's own loopback leads to the person's machine."""
        return self._listened(listen_host, listen_port) if listen_host in forwarding.LISTENED else False

    async def _forwarded(self, host: str, port: int) -> asyncssh.SSHTCPSession[bytes]:
        return await forwarding.reached(await self._reached_for_a_channel(), host, port)

    async def _forwarded_unix(self, path: str) -> asyncssh.SSHUNIXSession[bytes]:
        return await forwarding.reached_unix(await self._reached_for_a_channel(), path)

    async def _listened(self, host: str, port: int) -> asyncssh.SSHListener | None:
        try:
            lab = await self._reached()
        except Unreachable:
            return None
        return await forwarding.listened(self._conn, lab, host, port)

    async def _reached_for_a_channel(self) -> asyncssh.SSHClientConnection:
        try:
            return await self._reached()
        except Unreachable as error:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, str(error)) from error

    async def _looked_up(self, fingerprint: str) -> Found | None:
        try:
            return await asyncio.to_thread(self._gateway.directory.find, fingerprint, self._name)
        except Exception as error:
            log.warning("ssh: a key was not looked up: %s", error)
            return None

    async def _entered(self, near: Near) -> asyncssh.SSHClientConnection:
        """The way to the lab for a session; who sits before a terminal is offered to start a closed one. Raises Unreachable."""
        if self._lab is None and self._who is not None and self._who.comes and near.asks:
            self._who = await offer.opened(near, self._gateway.directory, self._who)
            self._begin(self._who)
        return await self._reached()

    def _begin(self, who: Found) -> None:
        if self._lab is not None:
            return  # another session of this connection was quicker
        self._lab = asyncio.create_task(self._connected(who))
        self._lab.add_done_callback(_seen)
        self._touch(who.key_id, who.lab_id)

    def _touch(self, key_id: int, lab_id: str) -> None:
        self._touching = asyncio.create_task(asyncio.to_thread(self._gateway.directory.touch, key_id, lab_id))
        self._touching.add_done_callback(_seen)

    async def _reached(self) -> asyncssh.SSHClientConnection:
        """The way to the lab. Raises Unreachable with words for its owner."""
        if self._lab is None:
            raise Unreachable(f"{self._who.closed} {self._who.elsewhere}".strip() if self._who else "")
        try:
            return await asyncio.shield(self._lab)
        except Unreachable as error:
            log.info("ssh: lab %s was not reached: %s", self._who.lab_id if self._who else "", error)
            raise Unreachable("The lab does not answer. It may be starting or ending; its page says which.") from error

    async def _connected(self, who: Found) -> asyncssh.SSHClientConnection:
        lab = await tunnel.connected_soon(self._gateway.way, user_id=who.user_id, lab_id=who.lab_id)
        closing = asyncio.create_task(self._follow(lab))
        closing.add_done_callback(_seen)
        return lab

    async def _follow(self, lab: asyncssh.SSHClientConnection) -> None:
        """When the lab goes, so does the connection to the person."""
        await lab.wait_closed()
        self._conn.close()

    def _cut(self) -> None:
        """End it now, whatever is under way."""
        self._conn.disconnect(asyncssh.DISC_BY_APPLICATION, "Access was withdrawn.")


def _seen(task: "asyncio.Task[object]") -> None:
    """Its exception, if any, is told where it is awaited."""
    if not task.cancelled():
        task.exception()
