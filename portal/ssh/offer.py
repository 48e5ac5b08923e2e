"""A lab of one's own that is closed: ask on the person's terminal whether to start it, and follow it until it opens."""

import asyncio
import logging
from dataclasses import replace
from typing import Protocol

from portal.ssh.found import Directory, Found, Progress
from portal.ssh.tunnel import Unreachable

log = logging.getLogger(__name__)
AWAY = Progress("The portal does not answer now. It is asked again.", again_s=2.0)
YES = frozenset((b"y", b"Y"))
#: Ctrl-C, Ctrl-D and q: leave. The lab goes on.
LEAVE = frozenset((b"\x03", b"\x04", b"q"))


class Terminal(Protocol):
    """Where the person reads and types, before there is a lab to type to."""

    def tell(self, words: str, *, end: str = "\r\n") -> None:
        """Write a line."""
        ...

    async def typed(self) -> bytes:
        """The keys pressed next; nothing when they have gone."""
        ...


async def opened(terminal: Terminal, directory: Directory, found: Found) -> Found:
    """The same person's lab, open. Raises Unreachable with the last words when it was not wanted, or did not come to that."""
    terminal.tell(found.closed)
    if found.asks:
        if not await _agreed(terminal, found.asks):
            raise Unreachable("Nothing was started.")
        found = await asyncio.to_thread(directory.start, found)
    terminal.tell("This shell opens when it runs. Ctrl-C leaves, and the lab comes all the same.")
    return await _followed(terminal, directory, found)


async def _agreed(terminal: Terminal, question: str) -> bool:
    terminal.tell(f"{question} [y/N] ", end="")
    answer = (await terminal.typed())[:1]
    yes = answer in YES
    terminal.tell("yes" if yes else "no")
    return yes


async def _followed(terminal: Terminal, directory: Directory, found: Found) -> Found:
    told = ""
    while True:
        seen = await _seen(directory, found)
        if seen.words != told:
            told = seen.words
            terminal.tell(told)
        if seen.ready:
            return replace(found, closed="", asks="")
        if seen.over:
            raise Unreachable("It cannot be entered.")
        if await _left(terminal, seen.again_s):
            raise Unreachable("It goes on without you.")


async def _seen(directory: Directory, found: Found) -> Progress:
    """How far it is. Records that are away for a moment are asked again: the shell waits anyway."""
    try:
        return await asyncio.to_thread(directory.progress, found)
    except Exception as error:
        log.warning("ssh: lab %s was not looked up: %s", found.lab_id, error)
        return AWAY


async def _left(terminal: Terminal, within_s: float) -> bool:
    try:
        keys = await asyncio.wait_for(terminal.typed(), within_s)
    except TimeoutError:
        return False
    return not keys or any(bytes((key,)) in LEAVE for key in keys)
