"""Is this process well? One word an argument, an exit status as the answer: `python deploy/health.py portal`.

It imports nothing of the house, so that a check costs milliseconds and not a start of Django.
"""

import os
import socket
import sys
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

WITHIN_S = 5
#: A worker reports every 10 s; one that was silent for three reports is not well.
HEARTBEAT_WITHIN_S = 30
HEARTBEAT = "SELECT count(*) FROM fleet_node WHERE id = %s AND heartbeat_at > now() - %s * interval '1 second'"


def address(name: str, default: str) -> tuple[str, int]:
    """`host:port` of the environment, as a client on this machine would use it."""
    host, _, port = os.environ.get(name, default).rpartition(":")
    return ("127.0.0.1" if host in ("0.0.0.0", "") else host), int(port)  # noqa: S104  (compared, not bound)


def portal() -> bool:
    """The web process answers, and the database behind it."""
    portal_url = urlsplit(os.environ["GPULAB_PORTAL_URL"])
    request = Request("http://127.0.0.1:8000/healthz", headers={"Host": portal_url.netloc, "X-Forwarded-Proto": portal_url.scheme})
    with urlopen(request, timeout=WITHIN_S) as answer:  # noqa: S310  (a fixed address)
        return bool(answer.status == 200)


def relay() -> bool:
    """The relay answers and knows its table."""
    host, port = address("GPULAB_RELAY_BIND", "127.0.0.1:8001")
    with urlopen(f"http://{host}:{port}/_gpulab/healthz", timeout=WITHIN_S) as answer:
        return bool(answer.status == 200)


def ssh() -> bool:
    """The gateway says who it is."""
    with socket.create_connection(address("GPULAB_SSH_BIND", "127.0.0.1:2222"), timeout=WITHIN_S) as link:
        return link.recv(8).startswith(b"SSH-2.0-")


def worker() -> bool:
    """This node has reported lately."""
    import psycopg

    with psycopg.connect(os.environ["GPULAB_DATABASE_URL"], connect_timeout=WITHIN_S) as link:
        row = link.execute(HEARTBEAT, (os.environ.get("GPULAB_NODE", "local"), HEARTBEAT_WITHIN_S)).fetchone()
    return bool(row and row[0])


CHECKS = {check.__name__: check for check in (portal, relay, ssh, worker)}


def main(arguments: list[str]) -> int:
    """0 when the named process is well, 1 when it is not, 2 when there is none of that name."""
    if len(arguments) != 1 or arguments[0] not in CHECKS:
        print(f"usage: health.py {'|'.join(CHECKS)}", file=sys.stderr)
        return 2
    try:
        well = CHECKS[arguments[0]]()
    except Exception as fault:
        print(f"{arguments[0]}: {fault}", file=sys.stderr)
        return 1
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
