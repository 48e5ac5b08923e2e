"""The SSH server inside a lab of the process runtime. Stand-alone: run by the lab's own Python as the lab's user.

It takes one key, the gateway's, and offers what OpenSSH's server does in a container lab: shell with a terminal,
exec, sftp and scp, and forwarding to the lab's own loopback; everything with the lab's environment and limits.
"""

import argparse
import asyncio
import fcntl
import os
import pty
import signal
import struct
import sys
import termios
from pathlib import Path

import asyncssh

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
CHUNK = 65536


class LabServer(asyncssh.SSHServer):
    """Who may come in, and to where they may forward."""

    def password_auth_supported(self) -> bool:
        """Never by password."""
        return False

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        """Forwarding reaches the lab's own loopback only."""
        return dest_host in LOOPBACK

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        """A port on the loopback that leads to the person's machine."""
        return listen_host in LOOPBACK

    def unix_connection_requested(self, dest_path: str) -> bool:
        """A socket in the lab's files, opened as the lab's user."""
        return True


class LabFiles(asyncssh.SFTPServer):
    """Files by sftp, and by scp as it is today."""

    def exit(self) -> None:
        """Tell the client that all went well: without a status OpenSSH's scp reports a failure."""
        if self.channel.get_subsystem() == "sftp":
            self.channel.exit(0)


def shell_command(command: str | None) -> list[str]:
    """A login shell, or the shell with one command, as sshd does it."""
    shell = os.environ.get("SHELL", "/bin/sh")
    return [shell, "-c", command] if command else [shell, "-l"]


def size_set(descriptor: int, size: tuple[int, int, int, int]) -> None:
    """Tell the terminal its size: columns, rows, pixels."""
    width, height, pixel_width, pixel_height = size
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, pixel_width, pixel_height))


def environment_of(process: asyncssh.SSHServerProcess[bytes]) -> dict[str, str]:
    """The lab's, and of the client's only what a terminal needs."""
    found = dict(os.environ)
    found |= {key: value for key, value in process.env.items() if key == "LANG" or key.startswith("LC_")}
    if process.term_type:
        found["TERM"] = process.term_type
    return found


async def run_on_pipes(process: asyncssh.SSHServerProcess[bytes]) -> int:
    """Without a terminal: stdin, stdout and stderr stay apart and binary."""
    child = await asyncio.create_subprocess_exec(
        *shell_command(process.command),
        env=environment_of(process),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    await process.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
    code = await wait_or_hang_up(process, child)
    await process.stdout.drain()
    return code


async def wait_or_hang_up(process: asyncssh.SSHServerProcess[bytes], child: asyncio.subprocess.Process) -> int:
    """The child's status; a client that goes away hangs it up."""
    waiting = asyncio.ensure_future(child.wait())
    closing = asyncio.ensure_future(process.channel.wait_closed())
    await asyncio.wait({waiting, closing}, return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        os.killpg(child.pid, signal.SIGHUP)
    closing.cancel()
    return await waiting


def terminal_child(descriptor: int) -> None:
    """In the child: the terminal becomes its controlling one, so that Ctrl-C and job control work."""
    os.setsid()
    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)


async def run_on_terminal(process: asyncssh.SSHServerProcess[bytes]) -> int:
    """With a terminal of its own."""
    ours, theirs = pty.openpty()
    size_set(theirs, process.term_size)
    child = await asyncio.create_subprocess_exec(
        *shell_command(process.command), env=environment_of(process), stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=lambda: terminal_child(0)
    )
    os.close(theirs)
    copying = [asyncio.ensure_future(terminal_to_client(ours, process)), asyncio.ensure_future(client_to_terminal(process, ours))]
    code = await wait_or_hang_up(process, child)
    await asyncio.wait({copying[0]}, timeout=1.0)
    for task in copying:
        task.cancel()
    await asyncio.gather(*copying, return_exceptions=True)
    os.close(ours)
    return code


async def terminal_to_client(descriptor: int, process: asyncssh.SSHServerProcess[bytes]) -> None:
    """What the terminal prints, until its last process has closed it."""
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, readable.set)
    try:
        while True:
            await readable.wait()
            readable.clear()
            try:
                chunk = os.read(descriptor, CHUNK)
            except OSError:
                return
            if not chunk:
                return
            process.stdout.write(chunk)
            await process.stdout.drain()
    finally:
        loop.remove_reader(descriptor)


async def client_to_terminal(process: asyncssh.SSHServerProcess[bytes], descriptor: int) -> None:
    """What the person types, window changes and breaks."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            chunk = await process.stdin.read(CHUNK)
        except asyncssh.TerminalSizeChanged as change:
            size_set(descriptor, change.term_size)
            continue
        except (asyncssh.BreakReceived, asyncssh.SignalReceived):
            chunk = b"\x03"
        if not chunk:
            os.write(descriptor, b"\x04")
            return
        await loop.run_in_executor(None, os.write, descriptor, chunk)


async def session(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """One channel: a shell or a command."""
    try:
        code = await (run_on_pipes(process) if process.term_type is None else run_on_terminal(process))  # its type may be empty
    except OSError as error:
        process.stderr.write(f"{error}\n".encode())
        code = 126
    if code < 0:
        process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
    else:
        process.exit(code)


async def serve(port: int, host_key: Path, gateway_key: Path) -> None:
    """Listen until ended. The host key is kept, so that the gateway knows the lab again."""
    if not host_key.exists():
        host_key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        host_key.touch(mode=0o600)
        host_key.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    await asyncssh.listen(
        "127.0.0.1",
        port,
        server_factory=LabServer,
        server_host_keys=[str(host_key)],
        authorized_client_keys=str(gateway_key),
        process_factory=session,
        sftp_factory=LabFiles,
        allow_scp=True,
        encoding=None,
        line_editor=False,
        keepalive_interval=30,
        agent_forwarding=False,
    )
    await asyncio.Event().wait()


def main() -> None:
    """labsshd PORT HOST_KEY GATEWAY_KEY."""
    parser = argparse.ArgumentParser(description="SSH for one lab")
    parser.add_argument("port", type=int)
    parser.add_argument("host_key", type=Path)
    parser.add_argument("gateway_key", type=Path)
    arguments = parser.parse_args()
    try:
        asyncio.run(serve(arguments.port, arguments.host_key, arguments.gateway_key))
    except OSError as error:
        sys.exit(f"labsshd: {error}")


if __name__ == "__main__":
    main()
