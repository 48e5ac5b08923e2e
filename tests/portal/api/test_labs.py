"""Launching, looking at, stopping and extending labs through the API."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from labs.idleness.models import Idleness
from labs.ledger.models import Event
from labs.lifecycle.models import Lab, Lease
from labs.lifecycle.moves import lab_end
from labs.lifecycle.reclaims import reclaim_begin
from labs.lifecycle.sickness import lab_device_seen

pytestmark = pytest.mark.django_db


def test_a_launch_answers_201_with_the_whole_lab(calls: Any, alice: Any, wish: Any) -> None:
    answer = calls(alice).post("/labs", wish)
    lab = answer.json()
    assert answer.status_code == 201
    assert lab["name"] == "first" and lab["state"] == "queued" and lab["owner"] == "alice@example.edu"
    assert lab["limits"] == {"gpus": 1, "gpu_model": "", "cpus": 2, "memory_gib": 4.0, "shm_gib": 1.0, "pids": 8192, "hours": 2}
    assert lab["image"]["id"] == wish["image"] and lab["gpus"] == [] and lab["attempt"] == 1
    assert lab["urls"]["page"].endswith(f"/labs/{lab['id']}/") and lab["urls"]["ssh"].startswith("ssh first@")
    assert f"/l/{lab['id']}/" in lab["urls"]["jupyter"]


def test_what_is_left_out_is_filled_in(calls: Any, alice: Any, wish: Any) -> None:
    lab = calls(alice).post("/labs", {"image": wish["image"]}).json()
    assert lab["name"] == "lab" and lab["limits"]["gpus"] == 0 and lab["limits"]["shm_gib"] == lab["limits"]["memory_gib"] / 2


def test_a_lab_that_waits_says_why_and_where(calls: Any, charlie: Any, alice: Any, lab_of: Any, running: Any, wish: Any) -> None:
    running(lab_of(charlie, gpus=2), ["GPU-00000000-test", "GPU-00000001-test"])
    made = calls(alice).post("/labs", wish).json()
    lab = calls(alice).get(f"/labs/{made['id']}").json()
    assert lab["place"] == 1 and "0 free now" in lab["reason"] and lab["reasons"]


def test_a_running_lab_shows_its_cards(calls: Any, alice: Any, lab_of: Any, running: Any) -> None:
    lab = running(lab_of(alice, gpus=1), ["GPU-00000001-test"])
    seen = calls(alice).get(f"/labs/{lab.pk}").json()
    assert seen["state"] == "running" and seen["reason"] == "" and seen["place"] is None
    assert seen["gpus"] == [{"uuid": "GPU-00000001-test", "index": 1, "model": "NVIDIA H200"}]


def test_a_lab_whose_cards_are_taken_back_says_when_it_is_stopped(calls: Any, alice: Any, charlie: Any, lab_of: Any, running: Any, now: Any) -> None:
    lab = running(lab_of(alice, gpus=1), ["GPU-00000001-test"])
    Lab.objects.filter(pk=lab.pk).update(over_quota=True)
    seen = calls(alice).get(f"/labs/{lab.pk}").json()
    assert (seen["over_quota"], seen["reclaim_at"], seen["requeue"]) == (True, None, True)
    reclaim_begin(lab_id=lab.pk, taken_for=lab_of(charlie, gpus=1).pk, now=now)
    stopped_at = datetime.fromisoformat(calls(alice).get(f"/labs/{lab.pk}").json()["reclaim_at"])
    assert abs(stopped_at - now - timedelta(minutes=5)) < timedelta(seconds=1)


def test_an_idle_lab_shows_its_clock_and_is_kept_as_often_as_the_house_allows(calls: Any, alice: Any, bob: Any, lab_of: Any, running: Any, now: Any) -> None:
    lab = running(lab_of(alice, gpus=1), ["GPU-00000001-test"])
    assert calls(alice).get(f"/labs/{lab.pk}").json()["idle"] is None
    Idleness.objects.create(lab=lab, used_at=now, seen_at=now, limit_min=60)
    assert calls(alice).get(f"/labs/{lab.pk}").json()["idle"]["keeps_left"] == 2
    kept = calls(alice).post(f"/labs/{lab.pk}/keep", {"hours": 4}).json()["idle"]
    assert kept["keeps_left"] == 1 and kept["kept_until"] > kept["used_at"]
    assert calls(alice).post(f"/labs/{lab.pk}/keep", {"hours": 5}).status_code == 422
    assert calls(bob).post(f"/labs/{lab.pk}/keep", {"hours": 1}).status_code == 404


def test_a_lab_that_lost_its_gpu_says_so_and_is_restarted_on_the_same(calls: Any, alice: Any, lab_of: Any, running: Any, now: Any) -> None:
    lab = running(lab_of(alice, gpus=1), ["GPU-00000001-test"])
    refused = calls(alice).post(f"/labs/{lab.pk}/restart")
    assert refused.status_code == 409 and "lost its GPU" in refused.json()["detail"]
    assert lab_device_seen(lab=lab, shut="/dev/nvidia0", now=now)
    assert "/dev/nvidia0" in calls(alice).get(f"/labs/{lab.pk}").json()["degraded"]
    assert calls(alice).post(f"/labs/{lab.pk}/restart").json()["state"] == "stopping"
    assert Lease.objects.get(lab=lab, closed_at=None).gpu_id == "GPU-00000001-test"


def test_a_failed_lab_says_why_it_ended(calls: Any, alice: Any, lab_of: Any, now: Any) -> None:
    lab = lab_of(alice)
    lab_end(lab_id=lab.pk, code="image_failed", now=now)
    seen = calls(alice).get(f"/labs/{lab.pk}").json()
    assert seen["state"] == "failed" and seen["reason"] == "Its image could not be prepared."


def test_a_wish_above_the_cap_is_refused_in_words_and_makes_nothing(calls: Any, bob: Any, wish: Any) -> None:
    answer = calls(bob).post("/labs", wish | {"gpus": 2})
    assert answer.status_code == 422 and answer.json()["code"] == "over_limit"
    assert answer.json()["detail"] == "You asked for 2 GPUs; your limit is 1, so that is 1 too many. Up to 1 would fit."
    assert answer.json()["errors"][0]["field"] == "gpus"
    assert not Lab.objects.exists()


def test_a_second_live_lab_of_that_name_is_a_conflict(calls: Any, alice: Any, wish: Any) -> None:
    assert calls(alice).post("/labs", wish).status_code == 201
    answer = calls(alice).post("/labs", wish)
    assert answer.status_code == 409 and answer.json()["code"] == "name_taken" and Lab.objects.count() == 1


def test_too_many_waiting_labs_are_a_conflict(calls: Any, bob: Any, wish: Any) -> None:
    caller = calls(bob)
    made = [caller.post("/labs", wish | {"name": f"l{n}"}).status_code for n in range(4)]
    assert made == [201, 201, 201, 409]


def test_stop_takes_a_waiting_lab_out_of_the_queue_and_again_changes_nothing(calls: Any, alice: Any, wish: Any) -> None:
    caller = calls(alice)
    lab = caller.post("/labs", wish).json()
    stopped = caller.post(f"/labs/{lab['id']}/stop").json()
    assert stopped["state"] == "stopped" and stopped["reason"] == "It was taken out of the queue before it started."
    events = Event.objects.count()
    again = caller.post(f"/labs/{lab['id']}/stop")
    assert again.status_code == 200 and again.json()["state"] == "stopped" and Event.objects.count() == events


def test_stop_begins_the_end_of_a_running_lab(calls: Any, alice: Any, lab_of: Any, running: Any) -> None:
    lab = running(lab_of(alice), [])
    assert calls(alice).post(f"/labs/{lab.pk}/stop").json()["state"] == "stopping"


def test_extend_moves_the_end_of_a_running_lab(calls: Any, alice: Any, lab_of: Any, running: Any) -> None:
    lab = running(lab_of(alice, hours=1), [])
    answer = calls(alice).post(f"/labs/{lab.pk}/extend", {"hours": 3})
    assert answer.status_code == 200
    assert Lab.objects.get(pk=lab.pk).ends_at - lab.ends_at >= timedelta(hours=1, minutes=59)


def test_extend_beyond_the_role_is_refused_and_a_waiting_lab_is_a_conflict(calls: Any, alice: Any, lab_of: Any, running: Any) -> None:
    waits, runs = lab_of(alice), running(lab_of(alice), [])
    assert calls(alice).post(f"/labs/{waits.pk}/extend", {"hours": 3}).status_code == 409
    answer = calls(alice).post(f"/labs/{runs.pk}/extend", {"hours": 73})
    assert answer.status_code == 422 and "72" in answer.json()["detail"]
    assert Lab.objects.get(pk=runs.pk).ends_at == runs.ends_at


def test_pages_follow_each_other_without_a_gap(calls: Any, alice: Any, lab_of: Any) -> None:
    made = [lab_of(alice).pk for _ in range(5)]
    caller, seen, address = calls(alice), [], "/labs?limit=2"
    while address:
        body = caller.get(address).json()
        seen += [lab["id"] for lab in body["items"]]
        address = body["next"] and body["next"].split("/api/v1")[1]
    assert sorted(seen) == sorted(made) and len(seen) == 5


def test_a_list_can_be_narrowed_to_live_or_ended_labs(calls: Any, alice: Any, lab_of: Any, now: Any) -> None:
    ended, live = lab_of(alice), lab_of(alice)
    lab_end(lab_id=ended.pk, code="cancelled", now=now)
    caller = calls(alice)
    assert [lab["id"] for lab in caller.get("/labs?live=true").json()["items"]] == [live.pk]
    assert [lab["id"] for lab in caller.get("/labs?live=false").json()["items"]] == [ended.pk]


def test_the_list_of_labs_takes_the_same_queries_for_one_lab_as_for_many(
    calls: Any, alice: Any, lab_of: Any, running: Any, django_assert_max_num_queries: Any
) -> None:
    caller = calls(alice)
    for _ in range(4):
        running(lab_of(alice), [])
    with django_assert_max_num_queries(7):
        assert len(caller.get("/labs").json()["items"]) == 4
