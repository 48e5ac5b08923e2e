"""Admin > Nodes: draining, giving up, and who may."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from labs.enrolment.models import JoinToken
from labs.fleet.models import Node
from labs.fleet.services import node_unknown
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign

Ask = Callable[..., Lab]


@pytest.fixture
def placed(lab_of: Ask, alice: object, node: Node, now: datetime) -> Lab:
    lab = lab_of(alice)
    assert lab_assign(lab_id=lab.pk, node_id=node.pk, gpu_uuids=[], now=now)
    return lab


def test_a_drain_is_begun_shown_and_called_off(as_root: Client, node: Node, placed: Lab) -> None:
    drain = reverse("manage_node_drain", args=[node.pk])
    page = as_root.post(drain, {"minutes": 60, "words": "A new driver."}, follow=True).content.decode()
    assert "1 lab ends here" in page and "A new driver." in page
    assert "A new driver." in Lab.objects.get(pk=placed.pk).notices[-1]["words"]
    as_root.post(reverse("manage_node_drain_off", args=[node.pk]))
    assert Node.objects.get(pk=node.pk).state == "ready"


@pytest.mark.parametrize("bad", [{"minutes": 5, "words": "x"}, {"minutes": 60, "words": ""}, {}], ids=str)
def test_what_is_missing_is_said_beside_it(as_root: Client, node: Node, bad: dict[str, object]) -> None:
    answer = as_root.post(reverse("manage_node_drain", args=[node.pk]), bad)
    assert answer.status_code == 422
    assert answer.context["rows"][0].drain.errors
    assert Node.objects.get(pk=node.pk).state == "ready"


def test_a_node_is_given_up_only_by_its_name(as_root: Client, node: Node, placed: Lab, now: datetime) -> None:
    node_unknown(node_id=node.pk, now=now)
    gone = reverse("manage_node_gone", args=[node.pk])
    assert "Its 1 lab" in as_root.get(reverse("manage_nodes")).content.decode()
    assert as_root.post(gone, {"name": "n2"}).status_code == 422
    assert as_root.post(gone, {"name": node.name}).status_code == 302
    assert Lab.objects.get(pk=placed.pk).reason_code == "node_lost"
    assert "Let it come back" in as_root.get(reverse("manage_nodes")).content.decode()


def test_a_node_that_answers_is_not_given_up(as_root: Client, node: Node, placed: Lab) -> None:
    answer = as_root.post(reverse("manage_node_gone", args=[node.pk]), {"name": node.name})
    assert answer.status_code == 422 and "still answers" in answer.content.decode()


def test_a_version_with_a_hole_is_shown_with_its_fix(as_root: Client, node: Node) -> None:
    Node.objects.update(checks=[{"name": "version: runc", "state": "red", "words": "1.3.5 is bad.", "fix": "Update runc to 1.3.6 or later."}])
    page = as_root.get(reverse("manage_nodes")).content.decode()
    assert "Fix: Update runc" in page and "Only the house" in page


@pytest.mark.parametrize("name", ["manage_node_drain", "manage_node_drain_off", "manage_node_gone"])
def test_only_administrators_decide_of_nodes(as_alice: Client, node: Node, name: str) -> None:
    assert as_alice.post(reverse(name, args=[node.pk]), {"name": node.name}).status_code in (403, 404)
    assert Node.objects.get(pk=node.pk).state == "ready"


def test_a_house_on_a_file_says_that_no_host_can_join(as_root: Client, settings: Any) -> None:
    page = as_root.get(reverse("manage_nodes")).content.decode()
    expected = "GPULAB_NODES_DATABASE_URL" if connection.vendor == "postgresql" else "only a house on PostgreSQL"
    assert expected in page and "Show the command" not in page
    assert as_root.post(reverse("manage_node_token"), {"node_id": "gpu-2"}).status_code == 422


@pytest.mark.postgres
def test_the_command_is_shown_once(as_root: Client, node: Node, settings: Any) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL: set GPULAB_TEST_DATABASE_URL")
    settings.NODES_DATABASE_URL, settings.NODES_REDIS_URL = "postgres://127.0.0.1/x", "redis://127.0.0.1/0"
    page = as_root.post(reverse("manage_node_token"), {"node_id": "gpu-2"}).content.decode()
    secret = re.search(r"gpulab-node join http://testserver (gpn_[\w-]+)", page)
    assert secret and "Not used yet" in page
    assert secret[1] not in as_root.get(reverse("manage_nodes")).content.decode()
    token = JoinToken.objects.get()
    assert secret[1] not in token.digest and token.expires_at - token.made_at == timedelta(hours=1)
    as_root.post(reverse("manage_node_token_off", args=[token.pk]))
    assert "Not used yet" not in as_root.get(reverse("manage_nodes")).content.decode()


@pytest.mark.postgres
@pytest.mark.parametrize(("name", "words"), [("GPU 2", "small letters"), ("-x", "small letters"), ("n1", "already"), ("", "required")])
def test_a_name_that_cannot_be_is_refused_beside_it(as_root: Client, node: Node, settings: Any, name: str, words: str) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL: set GPULAB_TEST_DATABASE_URL")
    settings.NODES_DATABASE_URL, settings.NODES_REDIS_URL = "postgres://127.0.0.1/x", "redis://127.0.0.1/0"
    answer = as_root.post(reverse("manage_node_token"), {"node_id": name})
    assert answer.status_code == 422 and words in answer.content.decode()
