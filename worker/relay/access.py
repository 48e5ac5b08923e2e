"""May they enter? Pure: a grant (what somebody showed) against the snapshot (what is true)."""

from dataclasses import dataclass
from enum import Enum

from labs.lifecycle.passes import Pass, Role
from labs.lifecycle.routes import RelaySnapshot, Route


class Standing(Enum):
    """How a grant stands now."""

    OPEN = "open"
    WAITING = "waiting"  # the lab does not answer yet, or any more
    ENDED = "ended"  # there is no such lab (any more)
    FORBIDDEN = "forbidden"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a request is made with: a pass (its person, role and time) or a lab token (its digest)."""

    lab_id: str
    user_id: int = 0
    role: Role = "owner"
    issued: float = 0.0
    token: str = ""
    port: int = 0
    session: str = ""

    @classmethod
    def of_pass(cls, stated: Pass) -> "Grant":
        """The grant of a pass whose signature and time were checked."""
        return cls(stated.lab_id, stated.user_id, stated.role, stated.issued, port=stated.port, session=stated.session)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer, with the route unless it is FORBIDDEN or ENDED."""

    standing: Standing
    route: Route | None = None


FORBIDDEN = Verdict(Standing.FORBIDDEN)
ENDED = Verdict(Standing.ENDED)


def judge(grant: Grant, snapshot: RelaySnapshot) -> Verdict:
    """Judge a grant for its lab's web door, or for one app of the lab. Only what the snapshot says yes to is let in."""
    route = snapshot.routes.get(grant.lab_id)
    if grant.token:
        if route is None or not _token_holds(grant, route, snapshot):
            return FORBIDDEN
    elif route is None:
        return ENDED
    elif not _person_holds(grant, route, snapshot):
        return FORBIDDEN
    return Verdict(Standing.OPEN if route.jupyter else Standing.WAITING, route)


def token_grant(digest: str, lab_id: str, snapshot: RelaySnapshot) -> Grant | None:
    """The grant of a lab token for that lab; None when it is none of ours, revoked or another lab's."""
    known = snapshot.tokens.get(digest)
    return Grant(lab_id, token=digest) if known and known[0] == lab_id else None


def _person_holds(grant: Grant, route: Route, snapshot: RelaySnapshot) -> bool:
    person = snapshot.people.get(grant.user_id)
    if person is None or not person.active or grant.issued < person.passes_not_before:
        return False
    if grant.session and grant.session not in snapshot.sessions:
        return False
    match grant.role:
        case "admin":
            return person.is_admin
        case "guest":
            return grant.port > 0 and grant.user_id in snapshot.guests.get((grant.lab_id, grant.port), frozenset())
        case _:
            return route.owner_id == grant.user_id


def _token_holds(grant: Grant, route: Route, snapshot: RelaySnapshot) -> bool:
    owner = snapshot.people.get(route.owner_id)
    return owner is not None and owner.active and snapshot.tokens.get(grant.token, ("", 0))[0] == grant.lab_id
