"""What opens a lab from the house's side, its Jupyter's token and the SSH gateway's key: derived, so that it is nowhere stored, shown or logged."""

import base64
import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.conf import settings

from labs.bus.secrets import derive


def upstream_token(*, lab_id: str, attempt: int) -> str:
    """Jupyter's token of this attempt: 32 bytes, derived, so that it is nowhere stored."""
    mac = hmac.new(derive("upstream"), f"{lab_id}:{attempt}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")


def gateway_key() -> bytes:
    """The SSH gateway's private key to labs, in OpenSSH's form. Every process of the house knows it: labs take it before a gateway ever ran."""
    return _gateway().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def gateway_public_key() -> str:
    """Its public half, one line: the only key that a lab's sshd takes. A joined node has another secret than the house, and was told the key."""
    return settings.SSH_GATEWAY_KEY or _gateway().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " gpulab"


def _gateway() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(derive("ssh-gateway"))
