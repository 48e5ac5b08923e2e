"""Passes: signed statements "this person may enter that lab", which the relay believes without asking a database.

Three kinds. A *ticket* takes a browser from the portal to the lab's own origin: 60 s, used once. A *browser*
pass is the cookie that the ticket becomes there. An *ssh* pass opens one stream of bytes for the SSH gateway.
Pure: the key and the clock are arguments. Whether the person may still enter is for the relay's table to say.
"""

import secrets
from dataclasses import asdict, dataclass
from typing import Literal

from django.core import signing

Kind = Literal["ticket", "browser", "ssh"]
Role = Literal["owner", "admin", "guest"]
SALT = "gpulab.pass"
#: The purpose under which the key is derived from the installation's secret.
KEY_PURPOSE = "pass"
LIFETIME_S: dict[Kind, float] = {"ticket": 60.0, "browser": 8 * 3600.0, "ssh": 30.0}
#: How far the clocks of the minting and the verifying process may be apart.
SLACK_S = 1.0


class PassRefused(Exception):
    """The pass is forged, of another kind, or not valid at this time."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Who may enter which lab, as what, since when. `issued` is in seconds of the Unix epoch."""

    kind: Kind
    user_id: int
    lab_id: str
    role: Role
    issued: float
    nonce: str
    path: str = ""  # where a ticket leads to inside the lab
    port: int = 0  # the one app of the lab that it opens; 0 is the lab itself
    session: str = ""  # digest of the portal's session that asked for it: the pass ends with it

    @property
    def expires(self) -> float:
        """The moment, in seconds of the epoch, from which it is refused."""
        return self.issued + LIFETIME_S[self.kind]


def mint(*, key: bytes, kind: Kind, user_id: int, lab_id: str, role: Role, now: float, path: str = "", port: int = 0, session: str = "") -> str:
    """A new signed pass; the text is safe in a cookie, a URL and a line."""
    stated = Pass(kind, user_id, lab_id, role, now, secrets.token_urlsafe(12), path, port, session)
    return _signer(key).sign_object(asdict(stated))


def opened(text: str, *, key: bytes) -> Pass:
    """What the pass says, if our key signed it. Whether it is valid now is `check`'s. Raises PassRefused."""
    try:
        return Pass(**_signer(key).unsign_object(text))
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise PassRefused("This pass is not ours.") from error


def check(stated: Pass, *, kind: Kind, now: float) -> Pass:
    """The same pass, if it is of that kind and valid now. Raises PassRefused."""
    if stated.kind != kind:
        raise PassRefused("This pass is for something else.")
    if not stated.issued - SLACK_S <= now < stated.expires:
        raise PassRefused("This pass is not valid any more.")
    return stated


def _signer(key: bytes) -> signing.Signer:
    return signing.Signer(key=key, salt=SALT, fallback_keys=[])
