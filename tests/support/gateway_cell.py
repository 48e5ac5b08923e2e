"""A cell run by Jupyter's own client in a lab: `jupyter_client`'s kernel client, in the form that speaks to a server far away.

Run by a Python that has jupyter_server. Standard input is JSON: `url` (of the lab, ends with /l/<id>/), `token`, `code`. It prints what the cell printed.
"""

import asyncio
import functools
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import websocket
from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.gateway.managers import GatewayKernelManager


async def told(client: Any, asked: str) -> AsyncIterator[dict[str, Any]]:
    """What the kernel tells of that request until it has nothing more to do."""
    while True:
        said = await client.get_iopub_msg(timeout=60)
        if said["parent_header"].get("msg_id") == asked:
            if said["content"].get("execution_state") == "idle":
                return
            yield said


async def run(code: str) -> None:
    """In a kernel of its own, which is ended."""
    manager = GatewayKernelManager()
    await manager.start_kernel(kernel_name="python3")
    client = manager.client()
    await client.start_channels()
    try:
        asked = client.execute(code, store_history=False)
        async for said in told(client, asked):
            if said["msg_type"] == "stream":
                sys.stdout.write(said["content"]["text"])
        reply = await client.get_shell_msg(timeout=60)
        assert reply["content"]["status"] == "ok", reply["content"]
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    server = GatewayClient.instance()
    server.url, server.auth_token = asked["url"].rstrip("/"), asked["token"]
    # It sends the token with every request but the one that opens its websocket.
    websocket.create_connection = functools.partial(websocket.create_connection, header=[f"Authorization: token {asked['token']}"])
    server.init_connection_args()
    asyncio.run(run(asked["code"]))
