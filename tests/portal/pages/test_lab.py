"""A lab's page and what can be done there."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from labs.fleet.models import Node
from labs.ledger.models import Event
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign, lab_end, lab_gone, lab_notice, lab_ready, lab_stage, lab_torch_seen
from labs.people.models import User
from labs.policy.services import override_set
from labs.storage.rules import GIB
from labs.storage.services import workspace_record

Ask = Callable[..., Lab]


@pytest.fixture
def running(alice: User, lab_of: Ask, node: Node, now: datetime) -> Lab:
    """alice's running lab without a GPU."""
    lab = lab_of(alice, name="resnet", hours=2)
    lab_assign(lab_id=lab.pk, node_id=node.pk, gpu_uuids=[], now=now)
    lab_ready(lab_id=lab.pk, attempt=1, verified={"memory": "4 GiB"}, not_held=["CPU time is not limited on this machine."], now=now)
    lab.refresh_from_db()
    return lab


def page_of(client: Client, lab: Lab) -> str:
    """The lab's page as text."""
    return client.get(reverse("lab", args=[lab.pk])).content.decode()


def test_a_waiting_lab_tells_its_place_and_why(as_alice: Client, alice: User, lab_of: Ask) -> None:
    first = [lab_of(alice, gpus=2, name=f"n{place}") for place in range(2)]
    page = page_of(as_alice, first[1])
    assert "Place " in page
    assert "It starts by itself" in page


def test_a_starting_lab_tells_its_steps(as_alice: Client, alice: User, lab_of: Ask, node: Node, now: datetime) -> None:
    lab = lab_of(alice)
    lab_assign(lab_id=lab.pk, node_id=node.pk, gpu_uuids=[], now=now)
    lab_stage(lab_id=lab.pk, attempt=1, stage="container", words="Container started")
    steps = as_alice.get(reverse("lab_state", args=[lab.pk])).context["steps"]
    assert [kind for kind, _ in steps] == ["done", "done", "at", "ahead"]


def test_a_new_state_loads_the_page_anew(as_alice: Client, running: Lab) -> None:
    url = reverse("lab_state", args=[running.pk])
    assert as_alice.get(url, {"was": "starting"})["HX-Refresh"] == "true"
    assert "HX-Refresh" not in as_alice.get(url, {"was": "running"})


def test_a_running_lab_shows_access_limits_and_what_does_not_hold(as_alice: Client, running: Lab) -> None:
    page = page_of(as_alice, running)
    for words in ("ssh resnet@", "Open JupyterLab", "4 GiB", "CPU time is not limited on this machine.", "Running"):
        assert words in page


@pytest.mark.parametrize(("gib", "words"), [(30, ""), (48, "nearly full: 48.0 of 50 GiB"), (51, "over its quota: 51.0 of 50 GiB")])
def test_a_workspace_without_room_is_said_on_the_page_of_a_running_lab(
    as_alice: Client, root_admin: User, running: Lab, now: datetime, gib: int, words: str
) -> None:
    override_set(user=running.owner, values={"disk_gib": 50}, until=None, note="", actor=root_admin, now=now)
    workspace_record(owner_id=running.owner_id, node_id="n1", size=gib * GIB, files=9, whole=True, now=now)
    page = page_of(as_alice, running)
    assert words in page
    assert ("new labs with GPUs wait" in page) is bool(words)


def test_a_kernel_killed_for_memory_is_told_while_the_lab_runs(as_alice: Client, running: Lab, now: datetime) -> None:
    lab_notice(lab_id=running.pk, code="oom_kill", words="A kernel needed more memory than the lab has and was killed.", now=now)
    assert "A kernel needed more memory" in page_of(as_alice, running)


def test_another_torch_over_the_images_own_is_warned_of(as_alice: Client, running: Lab, now: datetime) -> None:
    assert "torch is not the image" not in page_of(as_alice, running)
    lab_torch_seen(lab_id=running.pk, own_torch="2.10.0", now=now)
    assert "torch 2.10.0 was installed over the image" in page_of(as_alice, running)


def test_an_ended_lab_says_why_and_offers_the_fix(as_alice: Client, running: Lab, now: datetime) -> None:
    lab_end(lab_id=running.pk, code="out_of_memory", now=now, log_tail="Killed")
    lab_gone(lab_id=running.pk, now=now)
    page = page_of(as_alice, running)
    assert "needed more memory than the lab had" in page
    assert "Launch again with twice the memory" in page
    assert "memory_gib=8&" in page
    assert "Open JupyterLab" not in page


def test_what_a_lab_writes_is_text_and_never_markup(as_alice: Client, running: Lab) -> None:
    Lab.objects.filter(pk=running.pk).update(log_tail="<script>alert(1)</script>", reason="<b>x</b>")
    page = page_of(as_alice, running)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_stop_asks_the_lab_to_end_and_files_stay(as_alice: Client, running: Lab) -> None:
    answer = as_alice.post(reverse("lab_stop", args=[running.pk]), follow=True)
    running.refresh_from_db()
    assert running.state == "stopping"
    assert "Its files stay" in answer.content.decode()


def test_an_administrator_stops_with_a_reason_that_the_owner_reads(as_root: Client, as_alice: Client, running: Lab) -> None:
    as_root.post(reverse("lab_stop", args=[running.pk]), {"words": "The node is being repaired."})
    running.refresh_from_db()
    assert running.reason_code == "administrator"
    assert "The node is being repaired." in page_of(as_alice, running)


def test_extend_runs_until_that_many_hours_from_now(as_alice: Client, running: Lab) -> None:
    before = running.ends_at
    as_alice.post(reverse("lab_extend", args=[running.pk]), {"hours": 10})
    running.refresh_from_db()
    assert before and running.ends_at and running.ends_at > before


@pytest.mark.parametrize("hours", ["", "x", "-1", "0", "73", "9" * 30])
def test_a_bad_extension_is_told_and_changes_nothing(as_alice: Client, running: Lab, hours: str) -> None:
    answer = as_alice.post(reverse("lab_extend", args=[running.pk]), {"hours": hours}, follow=True)
    assert [message.level_tag for message in answer.context["messages"]] == ["error"]
    before = running.ends_at
    running.refresh_from_db()
    assert running.ends_at == before


def test_taking_a_gpu_warns_that_kernels_stop_and_can_be_taken_back(as_alice: Client, running: Lab) -> None:
    assert "Kernels and terminals stop." in page_of(as_alice, running)
    as_alice.post(reverse("lab_take_gpu", args=[running.pk]), {"gpus": 1})
    running.refresh_from_db()
    assert running.next_gpus == 1
    as_alice.post(reverse("lab_take_gpu_cancel", args=[running.pk]))
    running.refresh_from_db()
    assert running.next_gpus is None


def test_a_token_is_shown_once_and_can_be_revoked(as_alice: Client, running: Lab) -> None:
    shown = as_alice.post(reverse("lab_tokens", args=[running.pk]), {"name": "VS Code"}, follow=True).content.decode()
    token = running.tokens.get()
    assert token.prefix in shown
    assert "gpl_" in shown
    secret = shown.split('id="token-secret">')[1].split("<")[0]
    assert secret not in page_of(as_alice, running)
    assert not Event.objects.filter(words__contains=secret).exists()
    as_alice.post(reverse("lab_token_revoke", args=[running.pk, token.pk]))
    token.refresh_from_db()
    assert token.revoked_at


def test_a_token_of_another_lab_is_not_there(as_charlie: Client, as_alice: Client, charlie: User, running: Lab, lab_of: Ask) -> None:
    as_alice.post(reverse("lab_tokens", args=[running.pk]), {"name": "mine"})
    other = lab_of(charlie)
    assert as_charlie.post(reverse("lab_token_revoke", args=[other.pk, running.tokens.get().pk])).status_code == 404
    assert running.tokens.get().revoked_at is None


@pytest.mark.parametrize("name", ["lab_stop", "lab_extend", "lab_take_gpu"])
def test_nothing_happens_by_a_link(as_alice: Client, running: Lab, name: str) -> None:
    assert as_alice.get(reverse(name, args=[running.pk])).status_code == 405
