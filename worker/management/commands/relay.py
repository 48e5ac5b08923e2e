"""`manage.py relay`: the one process of a node that connects to labs."""

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import close_old_connections
from django.utils import timezone

from labs.bus.secrets import derive
from labs.enrolment.queries import joining_refused
from labs.enrolment.services import front_files
from labs.files.queries import desk_routes, desk_routes_of_node, desk_tokens
from labs.fleet.queries import node_by_id
from labs.lifecycle.passes import KEY_PURPOSE
from labs.lifecycle.relaying import relay_snapshot, relay_snapshot_of_node
from labs.lifecycle.routes import RelaySnapshot
from labs.lifecycle.services import lab_tokens_used
from labs.lifecycle.tokens import upstream_token
from labs.relocation.queries import move_on_record
from labs.relocation.rules import MOVED
from labs.sharing.queries import guests_now
from worker.carrying.here import Here
from worker.loops.moving import here, kept_here
from worker.node import places
from worker.relay.app import House
from worker.relay.aside import logged_aside
from worker.relay.moving import DESTINATION, FOLLOWING, SOURCE, Moves, Order
from worker.relay.origins import Origins
from worker.relay.run import Doors, serve, serve_front
from worker.relay.ways import Files


class Command(BaseCommand):
    """Carries HTTP, websockets and SSH bytes between people and the labs of this node."""

    help = "Run the relay: it carries the bytes between people and the labs of this node."

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until told to end."""
        token = lru_cache(maxsize=1024)(lambda lab_id, attempt: upstream_token(lab_id=lab_id, attempt=attempt))
        files = _files()
        if settings.RELAY_TLS_BIND is None:
            doors = Doors((settings.RELAY_HOST, settings.RELAY_PORT), (settings.RELAY_BYTES_HOST, settings.RELAY_BYTES_PORT), settings.REDIS_URL)
            with logged_aside(logging.getLogger()):
                uvloop.run(serve(house=_house(token, files), doors=doors, load=_load))
            return
        if files is None:
            raise CommandError("GPULAB_RELAY_TLS_BIND needs GPULAB_RELAY_CERT, GPULAB_RELAY_KEY and GPULAB_RELAY_CA: joining the house makes them.")
        with logged_aside(logging.getLogger()):
            uvloop.run(serve_front(files=files, token=token, door=settings.RELAY_TLS_BIND, redis_url=settings.REDIS_URL, load=_load_node, moves=_moves()))


def _house(token: Callable[[str, int], str], files: Files | None) -> House:
    return House(
        origins=Origins(scheme=settings.LABS_SCHEME, domain=settings.LABS_DOMAIN, single=settings.LABS_ORIGIN == "single"),
        portal_url=settings.PORTAL_URL,
        key=derive(KEY_PURPOSE),
        upstream_token=token,
        tokens_used=_tokens_used,
        files=files,
        proxies=settings.TRUSTED_PROXIES,
        open_to=settings.ALLOW_LABS,
    )


def _moves() -> Moves:
    return Moves(order=_order, end=_end, now=timezone.now)


def _order(move_id: int, kept: bool) -> Order | None:
    close_old_connections()
    try:
        row = move_on_record(move_id=move_id, node_id=settings.NODE_ID)
    finally:
        close_old_connections()
    if row is None:
        return None
    side = SOURCE if row.source_id == settings.NODE_ID else DESTINATION
    if not kept:
        return Order(row.owner_id, side, row.state, row.tries, row.began_at)
    is_due = row.state == MOVED and row.followed_at is None
    return Order(row.owner_id, side, FOLLOWING, row.follow_tries, row.follow_began_at) if is_due else None


def _end(order: Order, move_id: int, uid: int) -> Here:
    close_old_connections()
    try:
        own = node_by_id(node_id=settings.NODE_ID)
        if order.state == FOLLOWING:
            return kept_here(folder=settings.SNAPSHOTS, node=own, owner_id=order.owner_id, mark=move_id, tries=order.tries, uid=uid)
        return here(places=places(own.runtime, own.realm), node=own, owner_id=order.owner_id, mark=move_id, tries=order.tries, uid=uid)
    finally:
        close_old_connections()


def _files() -> Files | None:
    if settings.RELAY_CERT is None or settings.RELAY_KEY is None or settings.RELAY_CA is None:
        return Files(*front_files(folder=settings.GPULAB_HOME / "relay", now=timezone.now())) if not joining_refused() else None
    return Files(settings.RELAY_CERT, settings.RELAY_KEY, settings.RELAY_CA)


def _tokens_used(digests: set[str]) -> None:
    close_old_connections()
    try:
        lab_tokens_used(digests=digests, now=timezone.now())
    finally:
        close_old_connections()


def _load() -> RelaySnapshot:
    """Runs in a thread; a connection that the database has closed is opened anew."""
    close_old_connections()
    try:
        now, own = timezone.now(), settings.NODE_ID
        return relay_snapshot(node_id=own, guests=guests_now(now=now), desks=desk_routes(node_id=own), ways=desk_tokens(now=now))
    finally:
        close_old_connections()


def _load_node() -> RelaySnapshot:
    close_old_connections()
    try:
        return relay_snapshot_of_node(node_id=settings.NODE_ID, desks=desk_routes_of_node(node_id=settings.NODE_ID))
    finally:
        close_old_connections()
