"""Exchanging a token for a node's credentials, over TLS."""

import ipaddress
import json
import secrets
import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tools.node.place import AUTHORITY, CERT, KEY, environment_keep, keep

RELAY_PORT = 7443
WITHIN_S = 30


class JoinFault(Exception):
    """It did not work; words for whoever sits there."""


def join(*, house: str, token: str, place: Path, relay_address: str, authority: Path | None) -> str:
    """Join the house; the node's name. Nothing is kept of a join that failed."""
    house = house.rstrip("/")
    parts = urlsplit(house)
    if parts.scheme != "https" and not _is_here(parts.hostname or ""):
        raise JoinFault("A host joins by https only: what it is given are secrets.")
    relay_address = relay_address or f"{_own_address(parts.hostname or '', parts.port or 443)}:{RELAY_PORT}"
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    asked = {"token": token, "request": request.public_bytes(Encoding.PEM).decode(), "relay_address": relay_address}
    given = _exchange(f"{house}/api/v1/nodes/join", asked, authority)
    keep(place, KEY, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
    keep(place, CERT, given["certificate"])
    keep(place, AUTHORITY, given["authority"])
    environment_keep(place, given["settings"] | _own_settings(place, relay_address))
    return str(given["node"])


def _own_settings(place: Path, relay_address: str) -> dict[str, str]:
    """What the host decides itself. Its secret is its own: what it derives from that is of use here only."""
    return {
        "GPULAB_SECRET_KEY": secrets.token_urlsafe(48),
        "GPULAB_HOME": "/var/lib/gpulab" if str(place).startswith("/etc/") else str(place / "home"),
        "GPULAB_RELAY_TLS_BIND": f"0.0.0.0:{relay_address.rpartition(':')[2]}",
        "GPULAB_RELAY_CERT": str(place / CERT),
        "GPULAB_RELAY_KEY": str(place / KEY),
        "GPULAB_RELAY_CA": str(place / AUTHORITY),
    }


def _exchange(url: str, asked: dict[str, str], authority: Path | None) -> Any:
    request = urllib.request.Request(url, json.dumps(asked).encode(), {"Content-Type": "application/json"})  # noqa: S310 - https, or this machine
    context = ssl.create_default_context(cafile=str(authority) if authority else None) if url.startswith("https") else None
    try:
        with urllib.request.urlopen(request, timeout=WITHIN_S, context=context) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise JoinFault(_words(error.read()) or f"The house answered {error.code}.") from error
    except (OSError, ValueError) as error:
        raise JoinFault(f"The house was not reached at {url}: {error}") from error


def _words(body: bytes) -> str:
    """What the house says is wrong."""
    try:
        said = json.loads(body)
    except ValueError:
        return ""
    return str(said.get("detail") or said.get("title") or "") if isinstance(said, dict) else ""


def _own_address(house: str, port: int) -> str:
    """This host's address as it is on the way to the house. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((house, port))
        except OSError as error:
            raise JoinFault(f"There is no way to {house}: {error}") from error
        return str(probe.getsockname()[0])


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
