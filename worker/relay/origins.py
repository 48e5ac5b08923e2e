"""Which lab is meant, and on which origin: from the Host header and the path, never from anything else."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

LAB_PATH = re.compile(r"/l/([a-z2-7]{12})(?:/|\Z)")
LAB_ID = re.compile(r"[a-z2-7]{12}")


@dataclass(frozen=True, slots=True)
class Target:
    """The lab that a request is for. `own` is the origin that the browser has; `cookies` is False on the address for clients."""

    lab_id: str
    own: str
    cookie: str
    cookies: bool


@dataclass(frozen=True, slots=True)
class Origins:
    """How labs are named here: `lab-<id>.<domain>`, or (`single`) all on one host that is not the portal's."""

    scheme: str
    domain: str
    single: bool

    def target(self, host: str, path: str) -> Target | None:
        """The lab of this host and path; None when they name none, or two different ones."""
        on_host = self._lab_of_host(host)
        in_path = LAB_PATH.match(path)
        own = f"{self.scheme}://{host.lower()}"
        if on_host:
            mine = in_path is None or in_path[1] == on_host
            return Target(on_host, own, self._cookie(""), True) if mine else None
        if in_path is None:
            return None
        cookies = self.single and _name(host) == self.domain
        return Target(in_path[1], own, self._cookie("_" + in_path[1]), cookies)

    def ticket_target(self, host: str, lab_id: str) -> Target | None:
        """Where a ticket for that lab may be turned into a pass: on the lab's own origin only."""
        target = self.target(host, f"/l/{lab_id}/")
        return target if target and target.cookies and target.lab_id == lab_id else None

    def _lab_of_host(self, host: str) -> str:
        label, _, domain = _name(host).partition(".")
        lab_id = label.removeprefix("lab-")
        known = not self.single and domain == self.domain and label.startswith("lab-")
        return lab_id if known and LAB_ID.fullmatch(lab_id) else ""

    def _cookie(self, suffix: str) -> str:
        """`__Host-` makes browsers refuse the same name from any other host; it exists only with TLS."""
        return ("__Host-" if self.scheme == "https" else "") + "gpulab_pass" + suffix


def _name(host: str) -> str:
    """The host's name without its port."""
    try:
        return urlsplit("//" + host).hostname or ""
    except ValueError:
        return ""
