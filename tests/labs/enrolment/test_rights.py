"""What a joined node, or whoever stole it, can read and write of the house's records and say to its broker."""

import inspect
from typing import Any

import psycopg
import pytest
import redis
from django.apps import apps
from django.db import connection

from labs.catalogue.models import Image
from labs.enrolment import apps as enrolment_apps
from labs.enrolment.rights import RIGHTS, SCHEMA
from labs.enrolment.services import credential_revoke
from labs.fleet.models import Node
from labs.lifecycle.allowances import load_now
from labs.lifecycle.models import Lab, LabToken, Lease
from labs.lifecycle.moves import lab_assign
from labs.people.services import token_create
from labs.relocation.services import move_create

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]
REFUSED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)


@pytest.fixture
def elsewhere(lab_of: Any, alice: Any, node: Any, now: Any) -> Lab:
    """Alice's lab on the house's own node, with a token."""
    lab = lab_of(alice)
    assert lab_assign(lab_id=lab.pk, node_id=node.pk, gpu_uuids=[], now=now)
    LabToken.objects.create(lab=lab, name="t", prefix="gpl_", digest="d" * 64, created_at=now)
    token_create(user=alice, name="laptop", scope="launch", now=now)
    return Lab.objects.get(pk=lab.pk)


@pytest.fixture
def here(lab_of: Any, bob: Any, joined: Any, now: Any) -> Lab:
    """Bob's lab on the joined node."""
    Node.objects.filter(pk="n2").update(state="ready", runtime="docker", cpus=8, memory_mib=65536)
    lab = lab_of(bob)
    assert lab_assign(lab_id=lab.pk, node_id="n2", gpu_uuids=[], now=now)
    return Lab.objects.get(pk=lab.pk)


@pytest.mark.parametrize(
    "table",
    ["people_user", "people_apitoken", "people_sshkey", "people_invitation", "lifecycle_lab", "lifecycle_labtoken", "django_session", "mfa_authenticator"],
)
def test_no_table_of_the_house_can_be_read(as_node, table):
    with pytest.raises(REFUSED):
        as_node(f"SELECT * FROM public.{table}")


def test_each_table_is_listed_once():
    tables = [right.table for right in RIGHTS]
    assert len(tables) == len(set(tables))


def test_what_is_not_listed_is_not_there(as_node):
    listed = {right.table for right in RIGHTS}
    for model in apps.get_models():
        if model._meta.db_table not in listed:
            with pytest.raises(REFUSED):
                as_node(f"SELECT * FROM {model._meta.db_table}")


def test_it_sees_its_own_labs_and_no_others(as_node, here, elsewhere):
    assert as_node("SELECT id FROM lifecycle_lab").fetchall() == [(here.pk,)]
    assert as_node("UPDATE lifecycle_lab SET target = 'stopped'").rowcount == 1
    assert Lab.objects.get(pk=elsewhere.pk).target == "running"


def test_it_sees_of_people_neither_address_nor_password(as_node, here, elsewhere, bob, alice, root_admin):
    rows = as_node("SELECT id, email, password, display_name FROM people_user").fetchall()
    assert {row[0] for row in rows} == {bob.pk, root_admin.pk}
    assert all(row[1:3] == ("", "") for row in rows)


def test_it_makes_nobody_an_administrator(as_node, here, bob):
    for column in ("role = 'administrator'", "password = 'x'", "email = 'x@example.edu'"):
        with pytest.raises((*REFUSED, psycopg.errors.FeatureNotSupported, psycopg.errors.ObjectNotInPrerequisiteState)):
            as_node(f"UPDATE people_user SET {column}")


def test_it_takes_no_lab_of_another_node(as_node, elsewhere):
    assert as_node("UPDATE lifecycle_lab SET node_id = 'n2'").rowcount == 0


def test_it_gives_its_labs_to_nobody_else(as_node, here):
    with pytest.raises(psycopg.errors.Error):
        as_node("UPDATE lifecycle_lab SET node_id = 'n1'")
    assert Lab.objects.get(pk=here.pk).node_id == "n2"


def test_it_writes_no_event_in_a_persons_name(as_node, root_admin):
    statement = "INSERT INTO ledger_event (at, actor_id, actor_name, kind, subject, words, fact) VALUES (now(), {}, 'x', 'node.x', '{}', 'w', '{{}}')"
    as_node(statement.format("NULL", "node:n2"))
    for actor, subject in ((root_admin.pk, "node:n2"), ("NULL", "node:n1"), ("NULL", "person:1")):
        with pytest.raises(psycopg.errors.WithCheckOptionViolation):
            as_node(statement.format(actor, subject))


def test_it_reads_no_message(as_node, here):
    with pytest.raises(REFUSED):
        as_node("SELECT words FROM notices_notice")


def test_it_puts_no_other_image_in_the_place_of_one(as_node, image):
    Image.objects.filter(pk=image.pk).update(digest="sha256:" + "a" * 64)
    with pytest.raises(psycopg.errors.Error):
        as_node("UPDATE catalogue_image SET repository = 'evil/image'")
    with pytest.raises(psycopg.errors.RaiseException):
        as_node(f"UPDATE catalogue_image SET digest = 'sha256:{'b' * 64}'")


def test_it_is_nobody_when_it_is_revoked(joined, as_node, now):
    assert credential_revoke(node=Node.objects.get(pk="n2"), now=now)
    with pytest.raises(psycopg.Error):
        as_node("SELECT 1 FROM fleet_node")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(joined.settings["GPULAB_DATABASE_URL"])
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(joined.settings["GPULAB_REDIS_URL"]).ping()


def test_of_the_broker_it_has_its_own_queue(joined, redis_url):
    broker = redis.Redis.from_url(joined.settings["GPULAB_REDIS_URL"])
    house = redis.Redis.from_url(redis_url)
    house.lpush("gpulab.node.n1", "not yours")
    assert broker.lpush("gpulab.node.n2", "mine") and broker.brpop("gpulab.node.n2", 1)
    assert broker.lpush("gpulab.control", "ring")
    house.delete("gpulab.control", "gpulab.node.n1")
    for stolen in (
        lambda: broker.brpop("gpulab.node.n1", 1),
        lambda: broker.brpop("gpulab.control", 1),
        lambda: broker.keys("*"),
        lambda: broker.config_get("*"),
        lambda: broker.flushall(),
        lambda: broker.eval("return redis.call('LLEN', 'gpulab.node.n1')", 0),
        lambda: broker.execute_command("SUBSCRIBE", "gpulab:queue"),
    ):
        with pytest.raises(redis.ResponseError, match=r"(?i)permission|noperm|can't access"):
            stolen()


def test_views_are_dropped_under_the_name_they_are_made_under():
    assert f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE" in inspect.getsource(enrolment_apps)


def test_it_sees_of_moves_only_those_from_and_to_itself_and_makes_none(as_node, alice, bob, node, root_admin, now):
    n3 = Node.objects.create(pk="n3", name="n3", runtime="docker", state="ready", cpus=8, memory_mib=65536, heartbeat_at=now)
    mine = move_create(owner=alice, source=node, destination=Node.objects.get(pk="n2"), actor=root_admin, now=now)
    other = move_create(owner=bob, source=node, destination=n3, actor=root_admin, now=now)
    assert as_node("SELECT id FROM relocation_relocation").fetchall() == [(mine.pk,)]
    for statement in (
        f"UPDATE relocation_relocation SET state = 'moved' WHERE id = {mine.pk}",
        f"UPDATE relocation_relocation SET destination_id = 'n2' WHERE id = {other.pk}",
        "DELETE FROM relocation_relocation",
    ):
        with pytest.raises(REFUSED):
            as_node(statement)


def test_it_is_told_how_crowded_the_house_is_and_not_by_whom(as_node, elsewhere, node, settings, now):
    assert as_node("SELECT cards_taken()").fetchone() == (0.0,)
    Lease.objects.create(lab=elsewhere, gpu_id="GPU-00000000-test", attempt=1, opened_at=now)
    assert as_node("SELECT cards_taken()").fetchone() == (50.0,) == (load_now(),)
    assert as_node("SELECT count(*) FROM lifecycle_lease").fetchone() == (0,)
    settings.JOINED = True
    with connection.cursor() as cursor:
        cursor.execute(f"SET search_path = {SCHEMA}")
        assert load_now() == 50.0
        cursor.execute("RESET search_path")
