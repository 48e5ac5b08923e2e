"""What labs may reach: the internet, and nothing of the host, of private networks or of other people.

All bridges of ours begin with one prefix, so a few rules hold for every lab, however many networks there are. They
stand in two chains of our own, replaced as a whole (iptables-restore is atomic), and are jumped to from DOCKER-USER,
which the engine never touches, and from INPUT. Applying them again changes nothing.
"""

import ipaddress
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from worker.runtimes.docker.network import BRIDGE_PREFIX

FORWARD_CHAIN = "GPULAB-LABS"
INPUT_CHAIN = "GPULAB-HOST"
#: Metadata services and link-local, private, shared, loopback, test, multicast and reserved ranges.
CLOSED = (
    "169.254.0.0/16",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
LABS = f"{BRIDGE_PREFIX}+"
RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
DEADLINE_S = 8
#: Wait that long for another program's lock on the tables.
LOCK = ("-w", "5")
KNOWN = ["-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "RETURN"]
JUMPS = (
    ("DOCKER-USER", ["-i", LABS, "-j", FORWARD_CHAIN]),
    # From outside nobody begins a connection to a lab: ports are published on the host's loopback only.
    ("DOCKER-USER", ["!", "-i", LABS, "-o", LABS, "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP"]),
    ("INPUT", ["-i", LABS, "-j", INPUT_CHAIN]),
)


class FirewallFault(Exception):
    """The rules could not be set; the words say why."""


def nameservers(files: Sequence[Path] = RESOLVERS) -> list[str]:
    """Resolvers that labs may ask: the host's own, as far as they can be reached from a container."""
    found: dict[str, None] = {}
    for file in files:
        lines = file.read_text().splitlines() if file.is_file() else []
        for words in (line.split() for line in lines):
            if len(words) > 1 and words[0] == "nameserver" and _reachable(words[1]):
                found[words[1]] = None
    return list(found)


def _reachable(address: str) -> bool:
    try:
        return not ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        return False


def rules(resolvers: Sequence[str]) -> str:
    """Both chains in iptables-restore's words. Pure."""
    lines = ["*filter", f":{FORWARD_CHAIN} - [0:0]", f":{INPUT_CHAIN} - [0:0]"]
    for chain in (FORWARD_CHAIN, INPUT_CHAIN):
        lines.append(" ".join(["-A", chain, *KNOWN]))
        for address in resolvers:
            lines += [f"-A {chain} -d {address} -p {protocol} --dport 53 -j RETURN" for protocol in ("udp", "tcp")]
    lines.append(f"-A {FORWARD_CHAIN} -o {LABS} -j REJECT --reject-with icmp-admin-prohibited")
    lines += [f"-A {FORWARD_CHAIN} -d {closed} -j REJECT --reject-with icmp-admin-prohibited" for closed in CLOSED]
    lines.append(f"-A {INPUT_CHAIN} -j REJECT --reject-with icmp-admin-prohibited")
    return "\n".join([*lines, "COMMIT", ""])


def apply() -> None:
    """Set the rules, or set them again. Raises FirewallFault."""
    if os.geteuid() != 0 or not shutil.which("iptables-restore"):
        raise FirewallFault("the worker may not set firewall rules: it is not root, or iptables is not installed")
    _run(["iptables-restore", *LOCK, "--noflush"], rules(nameservers()))
    for chain, rule in JUMPS:
        if _run(["iptables", *LOCK, "-C", chain, *rule], check=False) != 0:
            _run(["iptables", *LOCK, "-I", chain, *rule])


def remove() -> None:
    """Take the rules away; nothing happens when they are not there."""
    for chain, rule in JUMPS:
        _run(["iptables", *LOCK, "-D", chain, *rule], check=False)
    for chain in (FORWARD_CHAIN, INPUT_CHAIN):
        _run(["iptables", *LOCK, "-F", chain], check=False)
        _run(["iptables", *LOCK, "-X", chain], check=False)


def _run(command: list[str], text: str = "", *, check: bool = True) -> int:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise FirewallFault("iptables does not answer") from error
    if check and done.returncode != 0:
        raise FirewallFault(done.stderr.strip() or f"{command[0]} ended with {done.returncode}")
    return done.returncode
