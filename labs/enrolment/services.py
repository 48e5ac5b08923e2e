"""Letting hosts in, and out again."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from django.conf import settings
from django.db import IntegrityError, transaction

from labs.bus.secrets import seal, secret_digest, secret_new, unseal
from labs.enrolment import broker, grants
from labs.enrolment.authority import FRONT, NODE, BadRequest, authority_new, key_new, request_new, request_sign
from labs.enrolment.models import Authority, Credential, JoinToken
from labs.enrolment.queries import joining_refused
from labs.fleet.models import Node
from labs.ledger.services import event_record
from labs.lifecycle.nodes import node_gone
from labs.lifecycle.tokens import gateway_public_key
from labs.people.errors import Refused
from labs.people.models import User

TOKEN_PREFIX = "gpn_"
LASTS = timedelta(hours=1)
SEAL = "authority"
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
ADDRESS = re.compile(r"[A-Za-z0-9.:\[\]-]{1,90}:[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Joined:
    """What a host is given: its certificate, the authority's, and the settings of its worker and relay."""

    node_id: str
    certificate: str
    authority: str
    settings: Mapping[str, str]


def join_token_create(*, node_id: str, actor: User, now: datetime) -> tuple[JoinToken, str]:
    """A token for a host that is to be the node of that name, and its secret, shown once. An older open one for the name is worth nothing any more.

    Refused where hosts cannot join this house, for a name that is none, and for the name of a node that is here.
    """
    if refused := joining_refused():
        raise Refused(refused)
    if not NAME.fullmatch(node_id):
        raise Refused("A node's name has 1 to 40 small letters, digits and hyphens, and begins and ends with none.", field="node_id")
    if Node.objects.filter(pk=node_id).exclude(state=Node.State.GONE).exists():
        raise Refused(f"There is a node {node_id} already. Give it up first, or choose another name.", field="node_id")
    secret = secret_new(TOKEN_PREFIX)
    with transaction.atomic():
        JoinToken.objects.filter(node_id=node_id, used_at=None, withdrawn_at=None).update(withdrawn_at=now)
        row = JoinToken.objects.create(node_id=node_id, prefix=secret[:10], digest=secret_digest(secret), made_by=actor, made_at=now, expires_at=now + LASTS)
        event_record(kind="node.token", subject=f"node:{node_id}", words=f"A host may join as node {node_id} within the hour.", actor=actor, now=now)
    return row, secret


def join_token_withdraw(*, token_id: int, actor: User, now: datetime) -> bool:
    """Nobody joins with it. False when it was used or withdrawn already."""
    with transaction.atomic():
        row = JoinToken.objects.filter(pk=token_id, used_at=None, withdrawn_at=None).first()
        if row is None or not JoinToken.objects.filter(pk=token_id, used_at=None, withdrawn_at=None).update(withdrawn_at=now):
            return False
        event_record(kind="node.token", subject=f"node:{row.node_id}", words=f"No host may join as node {row.node_id} any more.", actor=actor, now=now)
    return True


def node_join(*, secret: str, request: str, relay_address: str, now: datetime) -> Joined:
    """Exchange a token, once, for what a node signs in with. `request`: a signing request of the host's own key; `relay_address`: host:port.

    Refused in words; a token is used up only when everything could be made.
    """
    if refused := joining_refused():
        raise Refused(refused)
    if relay_address and not ADDRESS.fullmatch(relay_address):
        raise Refused("The relay's address is host:port.", field="relay_address")
    with transaction.atomic():
        row = JoinToken.objects.select_for_update().filter(digest=secret_digest(secret), used_at=None, withdrawn_at=None, expires_at__gt=now).first()
        if row is None:
            raise Refused("This token is not good any more: it is used once, within the hour. Make another on the page of nodes.", field="token")
        certificate, authority = _signed(request=request, organisation=NODE, name=row.node_id, now=now)
        node = _node(row.node_id, relay_address, now)
        password, broker_password = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        credential = _credential(node, secret_digest(broker_password), certificate, password, now)
        JoinToken.objects.filter(pk=row.pk).update(used_at=now)
        event_record(kind="node.joined", subject=f"node:{node.pk}", words=f"A host joined as node {node}.", actor=row.made_by, now=now)
    broker.user_make(user=credential.role, node_id=node.pk, digest=credential.broker_digest)
    given = _settings(node, credential.role, password, broker_password)
    return Joined(node.pk, certificate, authority, given)


def node_give_up(*, node: Node, actor: User, now: datetime) -> int:
    """Give a node up, and with it what it signs in with; how many labs ended."""
    lost = node_gone(node=node, actor=actor, now=now)
    credential_revoke(node=node, now=now)
    return lost


def credential_revoke(*, node: Node, now: datetime) -> bool:
    """Role, user and certificate are worth nothing any more, and their links are cut. False where there is nothing to revoke."""
    credential = Credential.objects.filter(node=node, revoked_at=None).first()
    if credential is None:
        return False
    with transaction.atomic():
        Credential.objects.filter(pk=credential.pk).update(revoked_at=now)
        grants.role_drop(role=credential.role)
        Node.objects.filter(pk=node.pk).update(relay_address="")
        event_record(kind="node.revoked", subject=f"node:{node.pk}", words=f"What node {node} signed in with was revoked.", actor=None, now=now)
    broker.user_drop(user=credential.role)
    return True


def credentials_keep() -> int:
    """Tell a broker that was restarted about the nodes again, and make the views anew where they are missing; how many users it had forgotten."""
    rows = list(Credential.objects.filter(revoked_at=None))
    if not rows:
        return 0
    if not grants.views_there():
        grants.views_make(roles=[row.role for row in rows])
    forgotten = {row.role for row in rows} - broker.users_known(users=[row.role for row in rows])
    for row in rows:
        if row.role in forgotten:
            broker.user_make(user=row.role, node_id=row.node_id, digest=row.broker_digest)
    return len(forgotten)


def front_files(*, folder: Path, now: datetime) -> tuple[Path, Path, Path]:
    """Certificate, key and authority of the relay that people reach, as files in `folder`; made where they are missing or of another authority."""
    cert, key, authority = (folder / name for name in ("front.pem", "front.key", "authority.pem"))
    row = _authority(now)
    if not (cert.is_file() and key.is_file() and authority.is_file() and authority.read_text() == row.certificate):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = key_new()
        certificate, _ = _signed(request=request_new(key=made), organisation=FRONT, name="front", now=now)
        for path, text in ((key, made), (cert, certificate), (authority, row.certificate)):
            path.touch(mode=0o600)
            path.write_text(text)
    return cert, key, authority


def _authority(now: datetime) -> Authority:
    row = Authority.objects.filter(pk=1).first()
    if row is None:
        certificate, key = authority_new(now=now)
        row, _ = Authority.objects.get_or_create(pk=1, defaults={"certificate": certificate, "key_sealed": seal(SEAL, key), "made_at": now})
    return row


def _signed(*, request: str, organisation: str, name: str, now: datetime) -> tuple[str, str]:
    """The certificate and its authority's."""
    row = _authority(now)
    key = unseal(SEAL, row.key_sealed)
    if key is None:
        raise Refused("The house's authority cannot sign: GPULAB_SECRET_KEY is not the one that it was made with.")
    try:
        return request_sign(request=request, organisation=organisation, name=name, certificate=row.certificate, key=key, now=now), row.certificate
    except BadRequest as bad:
        raise Refused(str(bad), field="request") from bad


def _node(node_id: str, relay_address: str, now: datetime) -> Node:
    """Its row: new, or of one that was given up. It is unknown until its worker is heard."""
    node, _ = Node.objects.update_or_create(
        pk=node_id,
        defaults={"joined_at": now, "relay_address": relay_address, "state": Node.State.UNKNOWN, "state_before": Node.State.READY},
        create_defaults={"name": node_id, "joined_at": now, "relay_address": relay_address, "state": Node.State.UNKNOWN, "state_before": Node.State.READY},
    )
    return node


def _credential(node: Node, digest: str, certificate: str, password: str, now: datetime) -> Credential:
    """A role of another name each time: what an earlier one knew is worth nothing."""
    role = f"gpulab_node_{node.realm}_{secrets.token_hex(3)}"
    values = {"role": role, "broker_digest": digest, "certificate": certificate, "made_at": now, "revoked_at": None}
    try:
        credential, _ = Credential.objects.update_or_create(node=node, defaults=values)
    except IntegrityError as error:
        raise Refused("Try again.") from error
    grants.role_make(role=role, password=password)
    grants.views_make(roles=Credential.objects.filter(revoked_at=None).values_list("role", flat=True))
    return credential


def _settings(node: Node, role: str, password: str, broker_password: str) -> dict[str, str]:
    """The worker's and the relay's, without a secret of the house."""
    return {
        "GPULAB_NODE": node.pk,
        "GPULAB_JOINED": "yes",
        "GPULAB_ENV": "production" if settings.PRODUCTION else "development",
        "GPULAB_DATABASE_URL": _with_user(settings.NODES_DATABASE_URL, role, password),
        "GPULAB_REDIS_URL": _with_user(settings.NODES_REDIS_URL, role, broker_password),
        "GPULAB_PORTAL_URL": settings.PORTAL_URL,
        "GPULAB_LABS_DOMAIN": settings.LABS_DOMAIN,
        "GPULAB_LABS_SCHEME": settings.LABS_SCHEME,
        "GPULAB_LABS_ORIGIN": settings.LABS_ORIGIN,
        "GPULAB_LAB_IMAGE": settings.LAB_IMAGE,
        "GPULAB_SSH_GATEWAY_KEY": gateway_public_key(),
    }


def _with_user(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{parts.netloc.rpartition('@')[2]}"))
