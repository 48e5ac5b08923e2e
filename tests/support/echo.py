"""An echo where a lab's sshd would be, and bytes sent to it and read back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

GREETING = b"SSH-2.0-lab\r\n"
END = b"end"


@asynccontextmanager
async def lab_sshd() -> AsyncIterator[tuple[str, int]]:
    """Where it listens. It greets first, as sshd does, and says `end` once nothing more comes."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
        writer.write(END)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield host, port
    server.close()


async def sent_and_read_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> bytes:
    """Send it all and end one's own way; what came back until the other way ended."""

    async def send() -> None:
        writer.write(sent)
        await writer.drain()
        writer.write_eof()

    _, received = await asyncio.gather(send(), reader.read(-1))
    return received
