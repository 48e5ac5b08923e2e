"""Who knocks too often. Refusals become slower for an address and for a name, and so many strangers at once may stand at the door. Pure.

Only refusals are slowed: whoever has the right key is let in at once, whatever others try under the same name.
"""

import ipaddress
import math
from collections import OrderedDict
from dataclasses import dataclass, field

#: A refusal takes this long, whatever its reason was.
REFUSAL_S = 0.15
#: So many failed connections cost nothing more: agents with many keys, typing errors, a class behind one address.
FREE = 20.0
#: Half of what was counted is forgotten after so long.
HALF_LIFE_S = 300.0
SLOWEST_S = 5.0
#: What is remembered at most; the oldest goes first.
MOST = 20_000
#: Connections that have not shown a key yet: of one address, and in all.
STRANGERS_EACH, STRANGERS_ALL = 60, 400


@dataclass(slots=True)
class Tries:
    """Failed connections by address and by name, which fade with time, and who stands at the door now."""

    _failed: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)
    _strangers: dict[str, int] = field(default_factory=dict)

    def enter(self, address: str) -> bool:
        """Somebody comes; False when too many that have not shown a key are there already."""
        place = place_of(address)
        if self._strangers.get(place, 0) >= STRANGERS_EACH or sum(self._strangers.values()) >= STRANGERS_ALL:
            return False
        self._strangers[place] = self._strangers.get(place, 0) + 1
        return True

    def known(self, address: str) -> None:
        """One of them showed a key, or left."""
        place = place_of(address)
        left = self._strangers.get(place, 0) - 1
        if left > 0:
            self._strangers[place] = left
        else:
            self._strangers.pop(place, None)

    def failed(self, address: str, name: str, *, now: float) -> None:
        """A connection ended without a key that was good for anything."""
        for what in _both(address, name):
            self._failed[what] = (self._score(what, now) + 1.0, now)
            self._failed.move_to_end(what)
        while len(self._failed) > MOST:
            self._failed.popitem(last=False)

    def refusal_s(self, address: str, name: str, *, now: float) -> float:
        """How long a refusal takes now, in seconds. It tells nothing of why it is one."""
        worst = max(self._score(what, now) for what in _both(address, name))
        return min(REFUSAL_S * math.pow(2.0, min(max(worst - FREE, 0.0), 16.0)), SLOWEST_S)

    def _score(self, what: str, now: float) -> float:
        score, at = self._failed.get(what, (0.0, now))
        return float(score * math.pow(0.5, max(now - at, 0.0) / HALF_LIFE_S))


def place_of(address: str) -> str:
    """Whose address it is: a machine's for IPv4, the whole /64 of one for IPv6."""
    try:
        one = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(one, ipaddress.IPv6Address):
        return str(one.ipv4_mapped or ipaddress.ip_network((int(one) >> 64 << 64, 64)))
    return str(one)


def _both(address: str, name: str) -> tuple[str, str]:
    return f"from {place_of(address)}", f"as {name}"
