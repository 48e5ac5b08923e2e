"""One session of a person's client, spoken on to the lab as it is: bytes, ends, sizes, signals and exit codes.

`Near` is the session towards the person, `Far` the one towards the lab. Each side's pace is the other's: who
cannot write makes the other stop reading, so that a slow client costs a window and not the gateway's memory.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import asyncssh

from portal.ssh.pace import WINDOW, paced
from portal.ssh.tunnel import Unreachable

log = logging.getLogger(__name__)
NOT_NOW = "The portal does not answer now. Try again in a minute."
#: What is said for a session that could not be; OpenSSH's own code for "it was the connection".
FAILED = 255
SUBSYSTEMS = frozenset(("sftp",))
TermSize = tuple[int, int, int, int]
Connect = Callable[["Near"], Awaitable[asyncssh.SSHClientConnection]]


class Near(asyncssh.SSHServerSession[bytes]):
    """Towards the person. Opens its far side when it knows what is wanted."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._chan: asyncssh.SSHServerChannel[bytes]
        self._far: asyncssh.SSHClientChannel[bytes] | None = None
        self._early: list[bytes] = []
        self._pressed = asyncio.Event()
        self._ended_early = False
        self._gone = False
        self._size: TermSize | None = None
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, chan: "asyncssh.SSHServerChannel[bytes]") -> None:
        """The channel is open; what for comes next."""
        self._chan = chan
        paced(chan)

    def pty_requested(self, term_type: str, term_size: TermSize, term_modes: Any) -> bool:
        """The terminal is made in the lab."""
        self._size = term_size
        return True

    def shell_requested(self) -> bool:
        """A shell: yes."""
        return True

    def exec_requested(self, command: str) -> bool:
        """A command: yes; the lab's shell reads it."""
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        """Only those that a lab has."""
        return subsystem in SUBSYSTEMS

    def session_started(self) -> None:
        """All is known: open the far side."""
        self._opening = asyncio.create_task(self._open())

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """On to the lab; what comes before the far side is there waits, no more than a window of it."""
        if self._far is None:
            self._early.append(data)
            self._chan.pause_reading()
            self._pressed.set()
        elif not self._far.is_closing():
            self._far.write(data)

    def eof_received(self) -> bool:
        """The end of stdin, and of stdin only."""
        self._ended_early = self._far is None
        self._pressed.set()
        if self._far is not None:
            self._far.write_eof()
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """A window was resized."""
        self._size = (width, height, pixwidth, pixheight)
        if self._far is not None:
            self._far.change_terminal_size(*self._size)

    def signal_received(self, signal: str) -> None:
        """A signal for the command."""
        if self._far is not None:
            self._far.send_signal(signal)

    def break_received(self, msec: int) -> bool:
        """A break for the terminal."""
        if self._far is not None:
            self._far.send_break(msec)
        return self._far is not None

    def pause_writing(self) -> None:
        """The person's client is slow: let the lab wait."""
        if self._far is not None:
            self._far.pause_reading()

    def resume_writing(self) -> None:
        """It caught up."""
        if self._far is not None:
            self._far.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The person has gone: hang up in the lab."""
        self._gone = True
        self._pressed.set()
        if self._far is not None:
            self._far.close()

    def lab_pace(self, *, may_write: bool) -> None:
        """The lab is slow, or caught up."""
        if may_write:
            self._chan.resume_reading()
        else:
            self._chan.pause_reading()

    def said(self, data: bytes, datatype: int | None) -> None:
        """The lab says something."""
        if not self._chan.is_closing():
            self._chan.write(data, datatype)

    def said_all(self) -> None:
        """The lab says nothing more."""
        self._chan.write_eof()

    def ended(self, status: int | None, signal: tuple[str, bool, str, str] | None) -> None:
        """The lab's side is over, all its bytes are written: pass on how it ended."""
        if signal is not None:
            self._chan.exit_with_signal(*signal)
        elif status is not None:
            self._chan.exit(status)
        else:
            self.refuse("The connection to the lab has ended.")

    @property
    def asks(self) -> bool:
        """Does a person sit before it, who can be asked something: a shell on a terminal?"""
        return self._on_terminal and self._chan.get_command() is None and self._chan.get_subsystem() is None

    @property
    def _on_terminal(self) -> bool:
        """Did the client ask for one? Its type may be empty: scripts run without TERM."""
        return self._chan.get_terminal_type() is not None

    def tell(self, words: str, *, end: str = "\r\n") -> None:
        """Write on the person's terminal, before the lab does."""
        self.said(f"{words}{end}".encode(), None)

    async def typed(self) -> bytes:
        """The keys pressed next, before there is a lab to type to; nothing when the person has gone."""
        while not (self._early or self._gone or self._ended_early):
            self._pressed.clear()
            await self._pressed.wait()
        keys = b"".join(self._early)
        self._early.clear()
        if not self._gone:
            self._chan.resume_reading()
        return keys

    def refuse(self, words: str) -> None:
        """Say why there is no session, and end it."""
        if self._on_terminal:
            self.tell(words)
        else:
            self.said(f"{words}\n".encode(), asyncssh.EXTENDED_DATA_STDERR)
        self._chan.exit(FAILED)

    async def _open(self) -> None:
        try:
            lab = await self._connect(self)
            far, _ = await lab.create_session(
                lambda: Far(self),
                self._chan.get_command(),
                subsystem=self._chan.get_subsystem(),
                env=_environment(self._chan),
                request_pty="force" if self._on_terminal else False,
                term_type=self._chan.get_terminal_type(),
                term_size=self._size or (0, 0, 0, 0),
                term_modes=dict(self._chan.get_terminal_modes()),
                encoding=None,
                window=WINDOW,
            )
        except Unreachable as error:
            self.refuse(str(error))
        except (asyncssh.Error, OSError):
            self.refuse("The lab did not open a session. It may have ended just now.")
        except Exception as error:  # whatever it is: a session that is never answered hangs for ever
            log.warning("ssh: a session was not opened: %r", error)
            self.refuse(NOT_NOW)
        else:
            self._opened(far)

    def _opened(self, far: "asyncssh.SSHClientChannel[bytes]") -> None:
        self._far = far
        paced(far)
        if self._gone:
            far.close()
            return
        for data in self._early:
            far.write(data)
        self._early.clear()
        if self._ended_early:
            far.write_eof()
        if self._size and self._size != (0, 0, 0, 0):
            far.change_terminal_size(*self._size)
        self._chan.resume_reading()


class Far(asyncssh.SSHClientSession[bytes]):
    """Towards the lab."""

    def __init__(self, near: Near) -> None:
        self._near = near
        self._status: int | None = None
        self._signal: tuple[str, bool, str, str] | None = None

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """On to the person."""
        self._near.said(data, datatype)

    def eof_received(self) -> bool:
        """The end of stdout; stdin stays open."""
        self._near.said_all()
        return True

    def exit_status_received(self, status: int) -> None:
        """Kept until all bytes are delivered: it may overtake those that wait for a slow client."""
        self._status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        """As with the status."""
        self._signal = (signal, core_dumped, msg, lang)

    def pause_writing(self) -> None:
        """The lab is slow: let the person's client wait."""
        self._near.lab_pace(may_write=False)

    def resume_writing(self) -> None:
        """It caught up."""
        self._near.lab_pace(may_write=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """The lab's side is over."""
        self._near.ended(self._status, self._signal)


def _environment(chan: "asyncssh.SSHServerChannel[bytes]") -> dict[bytes | str, bytes | str]:
    """Of the client's environment, the language. Everything else is the lab's own, the same as in Jupyter."""
    given = chan.get_environment_bytes()
    return {name: value for name, value in given.items() if name == b"LANG" or name.startswith(b"LC_")}
