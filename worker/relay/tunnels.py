"""A stream of bytes through a websocket between two relays: binary frames are the bytes, a text frame is the end of one way."""

import asyncio

import aiohttp
from aiohttp import WSMsgType, web

Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse
#: What the far side says first, and what each side says when its own bytes have ended.
OPEN, REFUSED, END = "open", "refused", "end"
CHUNK = 256 * 1024


async def joined(socket: Socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry both ways at the slower side's pace until both have ended. Raises OSError groups when one breaks."""
    async with asyncio.TaskGroup() as ways:
        ways.create_task(_into(socket, reader))
        ways.create_task(_out_of(socket, writer))


async def _into(socket: Socket, reader: asyncio.StreamReader) -> None:
    while chunk := await reader.read(CHUNK):
        await socket.send_bytes(chunk)
    await socket.send_str(END)


async def _out_of(socket: Socket, writer: asyncio.StreamWriter) -> None:
    while (message := await socket.receive()).type is WSMsgType.BINARY:
        writer.write(message.data)
        await writer.drain()
    if message.type is not WSMsgType.TEXT:
        raise ConnectionResetError("the tunnel broke")
    if writer.can_write_eof():
        writer.write_eof()
