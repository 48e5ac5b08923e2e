"""From where somebody calls, and whether a door is open to that place. Pure."""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

Ranges = tuple[IPv4Network | IPv6Network, ...]


def caller_address(*, peer: str, forwarded: str, proxies: int) -> str:
    """The caller's address: `peer` itself, or, behind so many proxies of ours, the last of `X-Forwarded-For` that they did not write themselves."""
    chain = [part.strip() for part in forwarded.split(",") if part.strip()] if proxies else []
    return chain[-proxies] if len(chain) >= proxies > 0 else peer


@lru_cache(maxsize=4096)
def allowed(address: str, ranges: Ranges) -> bool:
    """Is the address in one of the ranges? Without ranges everybody is; what is no address never is."""
    if not ranges:
        return True
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return any(found in one for one in ranges)
