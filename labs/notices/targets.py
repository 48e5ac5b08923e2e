"""Where a webhook may go. Pure: an address that a person typed must never make the house call into its own network."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network
NAT64 = IPv6Network("64:ff9b::/96")
MOST = 500


class BadTarget(ValueError):
    """It may not be called. The words say why."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What the installation allows: private `ranges` by exception, and http to this machine itself where nobody but the developer is."""

    ranges: tuple[Network, ...] = ()
    loopback: bool = False


def target_check(url: str, reach: Reach) -> str:
    """The address without blanks. BadTarget for anything but https to a host that may be public."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadTarget("This is not an address of the web.") from error
    if len(url) > MOST or not host or not url.isascii() or any(sign <= " " or sign == "\\" for sign in url) or port == 0:
        raise BadTarget("This is not an address of the web.")
    if parts.username is not None or parts.password is not None:
        raise BadTarget("A name or password before the host is not taken.")
    if parts.scheme != "https" and not (parts.scheme == "http" and reach.loopback and _is_loopback(host)):
        raise BadTarget("The address must begin with https://.")
    if (literal := _literal(host)) is not None and not address_allowed(literal, reach):
        raise BadTarget("Addresses inside private networks are not called.")
    return url


def address_allowed(address: IPv4Address | IPv6Address, reach: Reach) -> bool:
    """May this resolved address be connected to? Only public ones, and the installation's exceptions."""
    address = _unwrapped(address)
    if address.is_loopback:
        return reach.loopback
    if any(address.version == one.version and address in one for one in reach.ranges):
        return True
    return address.is_global and not address.is_multicast and not address.is_reserved


def addresses_allowed(addresses: Sequence[str], reach: Reach) -> bool:
    """All of a name's addresses: one that points inside condemns the name."""
    return bool(addresses) and all(address_allowed(ip_address(one), reach) for one in addresses)


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one carries (mapped, 6to4, NAT64), else itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None) or address


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    literal = _literal(host)
    return host == "localhost" or (literal is not None and literal.is_loopback)
