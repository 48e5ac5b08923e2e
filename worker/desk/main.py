"""`python -I desk.pyz plan.json`: serves one workspace until it is told to end.

The plan names `workspace`, `host` and `port`, `base` (the path that all paths begin with), `token_file`, `portal`, `node`, and
`left`: bytes of the person's limit that are left, or null.
"""

import json
import pkgutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from worker.desk.http import Server
from worker.desk.routes import Routes
from worker.desk.store import Store


def server_of(plan: "dict[str, Any]") -> Server:
    """The server of a plan, bound and not serving yet."""
    store = Store(plan["workspace"], left=plan["left"])
    routes = Routes(store, base=plan["base"], portal=plan["portal"], node=plan["node"], read=_part)
    token = Path(plan["token_file"]).read_text().strip()
    server = Server((plan["host"], plan["port"]), base=plan["base"], token=token, route=routes)
    threading.Thread(target=store.sweep_for_ever, daemon=True).start()
    return server


def main() -> None:
    """Serve until SIGTERM."""
    server = server_of(json.loads(Path(sys.argv[1]).read_text()))
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
    server.serve_forever(poll_interval=0.2)


def _part(name: str) -> bytes:
    """A part of the page, also out of the archive that this program is packed into."""
    found = pkgutil.get_data("worker.desk", f"static/{name}")
    if found is None:
        raise FileNotFoundError(2, name)
    return found
