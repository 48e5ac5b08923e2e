"""Which lab is meant, or which app of it, and on which origin: from the Host header and the path, never from anything else."""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

LAB_PATH = re.compile(r"/l/([a-z2-7]{12})(?:/|\Z)")
#: `lab-<id>` is the lab itself, `p<port>-lab-<id>` the program at that port of it.
LABEL = re.compile(r"(?:p([1-9][0-9]{3,4})-)?lab-([a-z2-7]{12})")


@dataclass(frozen=True, slots=True)
class Target:
    """The lab that a request is for. `own` is the origin that the browser has; `cookies` is False on the address for clients,
    `alone` where other labs share the origin.

    With a `port` it is for the program that listens there, on an origin of its own.
    """

    lab_id: str
    own: str
    cookie: str
    cookies: bool
    port: int = 0
    alone: bool = True

    @property
    def base(self) -> str:
        """What its paths begin with."""
        return "/" if self.port else f"/l/{self.lab_id}/"


@dataclass(frozen=True, slots=True)
class Origins:
    """How labs are named here: `lab-<id>.<domain>`, or (`single`) all on one host that is not the portal's."""

    scheme: str
    domain: str
    single: bool

    def target(self, host: str, path: str) -> Target | None:
        """The lab of this host and path; None when they name none, or two different ones."""
        on_host, port = self._lab_of_host(host)
        in_path = LAB_PATH.match(path)
        own = f"{self.scheme}://{host.lower()}"
        if port:
            return Target(on_host, own, self._cookie(""), True, port)
        if on_host:
            mine = in_path is None or in_path[1] == on_host
            return Target(on_host, own, self._cookie(""), True) if mine else None
        if in_path is None:
            return None
        cookies = self.single and _name(host) == self.domain
        return Target(in_path[1], own, self._cookie("_" + in_path[1]), cookies, alone=False)

    def ticket_target(self, host: str, lab_id: str, port: int = 0) -> Target | None:
        """Where a ticket for that lab, or that app of it, may be turned into a pass: on its own origin only."""
        target = self.target(host, f"/l/{lab_id}/")
        return target if target and target.cookies and (target.lab_id, target.port) == (lab_id, port) else None

    def _lab_of_host(self, host: str) -> tuple[str, int]:
        label, _, domain = _name(host).partition(".")
        found = None if self.single or domain != self.domain else LABEL.fullmatch(label)
        return (found[2], int(found[1] or 0)) if found else ("", 0)

    def _cookie(self, suffix: str) -> str:
        """`__Host-` makes browsers refuse the same name from any other host; it exists only with TLS."""
        return ("__Host-" if self.scheme == "https" else "") + "gpulab_pass" + suffix


@lru_cache(maxsize=1024)
def _name(host: str) -> str:
    """The host's name without its port."""
    try:
        return urlsplit("//" + host).hostname or ""
    except ValueError:
        return ""
