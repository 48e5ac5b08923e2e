"""What relays are told: where labs answer, who may enter them, and which tokens, sessions and shares are good now."""

from collections.abc import Iterable, Mapping

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db.models import QuerySet

from labs.bus.secrets import secret_digest
from labs.lifecycle import states
from labs.lifecycle.models import Lab, LabToken
from labs.lifecycle.routes import Address, Person, RelaySnapshot, Route
from labs.people.models import Role, User

Guests = Mapping[tuple[str, int], frozenset[int]]
Routes = Mapping[str, Route]
Tokens = Mapping[str, tuple[str, int]]


def relay_snapshot(*, node_id: str, guests: Guests | None = None, desks: Routes | None = None, ways: Tokens | None = None) -> RelaySnapshot:
    """All that the relay which people reach needs to decide alone, for the labs of every node; `guests` may use apps of labs not their own.

    `desks` are people's file pages, and `ways` the tokens for those.
    """
    desks = desks or {}
    labs = list(Lab.objects.select_related("node").filter(state__in=(*states.PLACED, states.QUEUED, states.OFFERED)))
    mine = {lab.pk for lab in labs}
    guests = {app: people for app, people in (guests or {}).items() if app[0] in mine}
    owners = {lab.owner_id for lab in labs} | {desk.owner_id for desk in desks.values()}
    people = _people(owners=owners.union(*guests.values()))
    return RelaySnapshot(
        routes={lab.pk: _route(lab, node_id) for lab in labs} | dict(desks),
        people={
            user.pk: Person(active=user.is_active, is_admin=user.is_administrator, passes_not_before=user.passes_not_before.timestamp()) for user in people
        },
        tokens={token.digest: (token.lab_id, token.pk) for token in LabToken.objects.filter(lab__in=mine, revoked_at=None)} | dict(ways or {}),
        sessions=_sessions(user.pk for user in people),
        guests=guests,
    )


def relay_snapshot_of_node(*, node_id: str, desks: Routes | None = None) -> RelaySnapshot:
    """What the relay of a joined node needs: its own labs and file pages. Who may enter was judged before it is asked."""
    labs = Lab.objects.filter(node_id=node_id, state__in=states.PLACED).select_related("node")
    return RelaySnapshot(routes={lab.pk: _route(lab, node_id) for lab in labs} | dict(desks or {}))


def _people(owners: Iterable[int]) -> list[User]:
    people: QuerySet[User] = User.objects.filter(pk__in=list(owners)) | User.objects.filter(role=Role.ADMINISTRATOR)
    return list(people)


def _sessions(user_ids: Iterable[int]) -> frozenset[str]:
    """Digests of the sessions that nobody has ended. One that has run out is not among the ended: a pass has its own time."""
    theirs = UserSession.objects.filter(user__in=list(user_ids)).values("session_key")
    return frozenset(secret_digest(key) for key in Session.objects.filter(pk__in=theirs).values_list("pk", flat=True))


def _route(lab: Lab, own: str) -> Route:
    answers = lab.state == states.RUNNING
    far = lab.node_id is not None and lab.node_id != own
    return Route(
        lab_id=lab.pk,
        attempt=lab.attempt,
        owner_id=lab.owner_id,
        state=lab.state,
        jupyter=(lab.jupyter_host, lab.jupyter_port) if lab.jupyter_port and answers else None,
        ssh=(lab.ssh_host, lab.ssh_port) if lab.ssh_port and answers else None,
        inside=lab.inside_host if answers else "",
        node=lab.node_id or "" if far else "",
        via=_address(lab.node.relay_address) if far and lab.node else None,
    )


def _address(text: str) -> Address | None:
    """`host:port` as it is in the record."""
    host, _, port = text.rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdigit() else None
