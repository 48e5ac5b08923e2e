"""Data sets on the launch form, in the API and of templates: what a lab asks for is where it runs."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from labs.catalogue.models import Image
from labs.datasets.models import DataSet
from labs.datasets.services import NewData, data_copy_failed, data_copy_ready, data_set_register
from labs.fleet.models import Node, NodeImage
from labs.lifecycle.models import Lab
from labs.lifecycle.waiting import snapshot_load
from labs.people.models import Group, User
from labs.people.services import token_create
from labs.scheduler.plan import plan
from labs.starters.services import template_make
from tests.labs.starters.test_templates import DRAFT
from tests.portal.pages.test_launch import wish
from tests.support.callers import Caller

pytestmark = pytest.mark.django_db
NEW = NewData("flowers", "1", "Flowers", "CC BY 4.0", "The herbarium", "folder", "/srv/data/flowers")
LOST = "There is no folder /srv/data/flowers on this node."


@pytest.fixture
def second(node: Node, image: Image, now: datetime) -> Node:
    """A node beside the first, with the image and without cards."""
    made = Node.objects.create(pk="n2", name="n2", runtime="docker", cpus=64, memory_mib=512 * 1024, heartbeat_at=now, probe_kind="none")
    NodeImage.objects.create(node=made, image=image, state="present", percent=100, updated_at=now)
    return made


@pytest.fixture
def flowers(second: Node, root_admin: User, team: Group, now: datetime) -> DataSet:
    """The team's, read by the second node alone."""
    one = data_set_register(new=NEW, groups=[team], actor=root_admin, now=now)
    data_copy_failed(data_set_id=one.pk, node_id="n1", words=LOST, now=now)
    data_copy_ready(data_set_id=one.pk, node_id="n2", size=3 * 2**30, files=7, checksum="a" * 64, now=now)
    return one


def asked(image: Image, *sets: str, **more: object) -> dict[str, object]:
    return wish(image, **{"gpus": 0, "chosen": "on", "datasets": list(sets)} | more)


def test_the_form_shows_ones_own_sets_with_size_licence_and_the_machines_that_lack_them(flowers: DataSet, as_alice: Client, as_charlie: Client) -> None:
    page = as_alice.get(reverse("launch")).content.decode()
    assert all(words in page for words in ("/data/flowers", "CC BY 4.0", "3 GiB", "on n2", f"Not on n1: {LOST}"))
    assert "/data/flowers" not in as_charlie.get(reverse("launch")).content.decode()


def test_a_lab_is_placed_only_where_its_data_is(flowers: DataSet, as_alice: Client, as_charlie: Client, image: Image, now: datetime) -> None:
    assert as_alice.post(reverse("launch"), asked(image, "flowers")).status_code == 302
    lab = Lab.objects.get()
    assert (lab.data, plan(snapshot_load(now=now), now).placements[0].node_id) == (["flowers"], "n2")
    assert "<dt>Data sets</dt><dd>flowers</dd>" in as_alice.get(reverse("lab", args=[lab.pk])).content.decode()
    data_copy_failed(data_set_id=flowers.pk, node_id="n2", words="It is gone.", now=now)
    assert set(plan(snapshot_load(now=now), now).waits[lab.pk].reasons) == {
        f"The data set flowers is not on node n1: {LOST}",
        "The data set flowers is not on node n2: It is gone.",
    }
    answer = as_charlie.post(reverse("launch"), asked(image, "flowers"))
    assert (answer.status_code, list(answer.context["form"].errors)) == (422, ["datasets"])


def test_the_verdict_says_before_the_click_why_a_lab_would_wait(flowers: DataSet, as_alice: Client, image: Image) -> None:
    page = as_alice.get(reverse("launch_verdict"), asked(image, "flowers", gpus=1)).content.decode()
    assert f"The data set flowers is not on node n1: {LOST}" in page
    assert "Starts now" in as_alice.get(reverse("launch_verdict"), asked(image, "flowers")).content.decode()


def test_a_templates_own_sets_are_ticked_and_taken_by_its_one_click(
    flowers: DataSet, as_alice: Client, alice: User, root_admin: User, image: Image, now: datetime
) -> None:
    draft = replace(DRAFT, data=("flowers@1", "elsewhere"))
    template_make(title="Botany", summary="One.", minutes=5, group=None, draft=draft, actor=root_admin, now=now)
    form = as_alice.get(reverse("launch"), {"template": "botany"})
    assert [(one.value, one.ticked) for one in form.context["sets"]] == [("flowers", False), ("flowers@1", True)]
    as_alice.post(reverse("launch"), wish(image, gpus=0, template="botany", key="click"))
    as_alice.post(reverse("launch"), asked(image, template="botany", key="unticked"))
    assert [lab.data for lab in Lab.objects.order_by("requested_at")] == [["flowers@1"], []]


def test_the_api_lists_sets_and_takes_them_with_a_wish(flowers: DataSet, alice: User, charlie: User, image: Image, now: datetime) -> None:
    own, strange = (Caller(token_create(user=user, name="test", scope="launch", now=now)[1]) for user in (alice, charlie))
    listed = own.get("/datasets").json()["items"]
    assert [(one["id"], one["bytes"], [place["ready"] for place in one["nodes"]]) for one in listed] == [("flowers@1", 3 * 2**30, [False, True])]
    assert strange.get("/datasets").json()["items"] == []
    body = {"image": image.pk, "cpus": 2, "memory_gib": 4, "hours": 2, "datasets": ["flowers", "flowers"]}
    made = own.post("/labs", body)
    assert (made.status_code, made.json()["datasets"]) == (201, ["flowers"])
    for caller, names in ((strange, ["flowers"]), (own, ["../etc"]), (own, ["flowers@9"])):
        refused = caller.post("/labs", body | {"datasets": names})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "datasets")


def test_a_set_that_is_withdrawn_while_a_lab_waits_is_told(flowers: DataSet, lab_of: Callable[..., Lab], alice: User, now: datetime) -> None:
    lab = lab_of(alice, data=("flowers",))
    flowers.groups.clear()
    flowers.groups.add(Group.objects.create(kind="team", name="Other", slug="other"))
    assert "not offered to you any more" in " ".join(plan(snapshot_load(now=now), now).waits[lab.pk].reasons)
