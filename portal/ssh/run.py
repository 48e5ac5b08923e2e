"""The gateway as a process: its port, its table's clock, the bus it hears, its end."""

import asyncio
import logging
import signal
from pathlib import Path

from labs.bus.callers import Ranges, allowed
from labs.bus.listener import listen
from portal.ssh.found import Directory
from portal.ssh.gateway import Gateway
from portal.ssh.hostkeys import keys_of
from portal.ssh.tunnel import Way

log = logging.getLogger(__name__)
#: What is said of people: among it, that something of theirs was revoked.
TOPICS = "person.*"
#: How often the host key is told, and how soon again when that failed.
TELL_S, TELL_AGAIN_S = 6 * 3600.0, 15.0


async def serve(
    *, bind: tuple[str, int], folder: Path, door: tuple[str, int], pass_key: bytes, client_key: bytes, allow: Ranges, directory: Directory, redis_url: str
) -> None:
    """Serve until SIGTERM or SIGINT."""
    keys = keys_of(folder, client_key=client_key)
    gateway = Gateway(directory, Way(door, pass_key, keys.clients), admits=lambda address: allowed(address, allow))
    acceptor = await gateway.listen(*bind, host_key=keys.host)
    clocks = [
        asyncio.create_task(gateway.sessions.run()),
        asyncio.create_task(_tell(directory, keys.host.export_public_key().decode())),
        asyncio.create_task(listen(url=redis_url, pattern=TOPICS, heard=lambda *_: gateway.sessions.wake())),
    ]
    log.info("ssh: gateway at %s:%d", *bind)
    end = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, end.set)
    try:
        await end.wait()
    finally:
        acceptor.close()
        for clock in clocks:
            clock.cancel()
        await asyncio.gather(*clocks, return_exceptions=True)


async def _tell(directory: Directory, host_key: str) -> None:
    """Say by which key we are known, now and then: what is shown to people is what is true."""
    while True:
        try:
            await asyncio.to_thread(directory.known_by, host_key)
            await asyncio.sleep(TELL_S)
        except Exception as error:
            log.warning("ssh: the host key was not told: %s", error)
            await asyncio.sleep(TELL_AGAIN_S)
