"""The gateway: one port for the whole house, where a public key is a person and the user name is their lab."""

import asyncio
import logging
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import cast

import asyncssh

from portal.ssh import tunnel
from portal.ssh.bridge import Near
from portal.ssh.directory import Directory, Found
from portal.ssh.sessions import Sessions
from portal.ssh.tunnel import Unreachable, Way

log = logging.getLogger(__name__)
#: A refusal takes this long, whatever its reason was.
REFUSAL_S = 0.15
#: Keys that one connection may try; agents offer all that they hold.
KEYS_TRIED_MOST = 20
NAME_MOST = 64
LOGIN_S = 20
#: The lab's own loopback, by the names that clients use for it. Nothing else is reached by forwarding.
INSIDE = frozenset(("localhost", "127.0.0.1", "::1"))


@dataclass(slots=True)
class Gateway:
    """What every connection shares."""

    directory: Directory
    way: Way
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
        self._name = ""
        self._tried = 0
        self._found: dict[str, Found] = {}
        self._who: Found | None = None
        self._lab: asyncio.Task[asyncssh.SSHClientConnection] | None = None
        self._touching: asyncio.Task[None] | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Somebody knocks."""
        self._conn = conn

    def connection_lost(self, exc: Exception | None) -> None:
        """They left: hang up in the lab."""
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
                await asyncio.sleep(max(0.0, started + REFUSAL_S - time.monotonic()))
                return False
            self._found = {fingerprint: found}
        self._who = self._found[fingerprint]
        return True

    def auth_completed(self) -> None:
        """The signature was good: begin the way to the lab at once, before the client says what it wants."""
        if self._who is None:
            raise asyncssh.PermissionDenied("no key")
        self._gateway.sessions.add(self._who.key_id, self._cut)
        if not self._who.closed:
            self._lab = asyncio.create_task(self._connected(self._who))
            self._lab.add_done_callback(_seen)
        self._touching = asyncio.create_task(asyncio.to_thread(self._gateway.directory.touch, self._who.key_id, self._who.lab_id))
        self._touching.add_done_callback(_seen)

    def session_requested(self) -> Near:
        """A shell, a command or sftp: in the lab."""
        return Near(self._reached)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Awaitable[asyncssh.SSHTCPSession[bytes]]:
        """Local forwarding: to ports of the lab itself."""
        if dest_host not in INSIDE:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "Only ports of the lab itself can be reached")
        return self._forwarded(dest_host, dest_port)

    async def _forwarded(self, host: str, port: int) -> asyncssh.SSHTCPSession[bytes]:
        try:
            lab = await self._reached()
        except Unreachable as error:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, str(error)) from error
        return cast("asyncssh.SSHTCPSession[bytes]", await self._conn.forward_tunneled_connection(lab, host, port))

    async def _looked_up(self, fingerprint: str) -> Found | None:
        try:
            return await asyncio.to_thread(self._gateway.directory.find, fingerprint, self._name)
        except Exception as error:
            log.warning("ssh: a key was not looked up: %s", error)
            return None

    async def _reached(self) -> asyncssh.SSHClientConnection:
        """The way to the lab. Raises Unreachable with words for its owner."""
        if self._lab is None:
            raise Unreachable(self._who.closed if self._who else "")
        try:
            return await asyncio.shield(self._lab)
        except Unreachable as error:
            log.info("ssh: lab %s was not reached: %s", self._who.lab_id if self._who else "", error)
            raise Unreachable("The lab does not answer. It may be starting or ending; its page says which.") from error

    async def _connected(self, who: Found) -> asyncssh.SSHClientConnection:
        lab = await tunnel.connected(self._gateway.way, user_id=who.user_id, lab_id=who.lab_id)
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
