"""Jobs by the page: now, by the clock, by a call; and the page of a lab that is one."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labs.catalogue.models import Image
from labs.jobs.models import Trigger
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign, lab_end, lab_exit_record, lab_gone, lab_ready

FIELDS = {"command": "python train.py --name 'a b'", "gpus": 0, "cpus": 2, "memory_gib": 4, "hours": 2, "start": "now"}


@pytest.fixture
def fields(image: Any, node: Any) -> dict[str, Any]:
    return FIELDS | {"image": image.pk}


def test_a_job_is_run_from_the_page_and_its_end_is_listed(as_alice: Client, alice: Any, fields: Any, now: Any) -> None:
    assert "No job yet" in as_alice.get(reverse("jobs")).content.decode()
    assert as_alice.post(reverse("jobs"), fields).status_code == 302
    lab = Lab.objects.get(owner=alice)
    assert lab.command == ["python", "train.py", "--name", "a b"]
    assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[], now=now)
    assert lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=now)
    page = as_alice.get(reverse("lab", args=[lab.pk])).content.decode()
    assert "Open JupyterLab" not in page and "python train.py" in page and lab.output_folder in page
    home = as_alice.get(reverse("home")).content.decode()
    assert lab.name in home and not [way for way in ("Open JupyterLab", "#access", "Terminal", "#apps") if way in home]
    lab_exit_record(lab_id=lab.pk, attempt=1, exit_code=7)
    lab_end(lab_id=lab.pk, code="job_failed", now=now)
    lab_gone(lab_id=lab.pk, now=now)
    assert "exit code 7" in as_alice.get(reverse("jobs")).content.decode()


def test_a_schedule_is_kept_paused_run_and_removed(as_alice: Client, alice: Any, fields: Any) -> None:
    as_alice.post(reverse("jobs"), fields | {"start": "schedule", "weekdays": ["0", "4"], "at": "07:30", "name": "nightly"})
    kept = Trigger.objects.get(owner=alice)
    assert "on Mondays and Fridays at 07:30" in as_alice.get(reverse("jobs")).content.decode()
    for _ in range(2):  # a second click on the same button pauses no less, and runs it once
        as_alice.post(reverse("job_pause", args=[kept.pk]), {"paused": "yes"})
        assert Trigger.objects.get().paused
        as_alice.post(reverse("job_run", args=[kept.pk]), {"key": "of-this-page"})
        assert Lab.objects.count() == 1
    as_alice.post(reverse("job_pause", args=[kept.pk]), {"paused": "no"})
    assert not Trigger.objects.get().paused
    as_alice.post(reverse("job_remove", args=[kept.pk]))
    assert not Trigger.objects.exists() and Lab.objects.count() == 1


def test_the_next_runs_are_shown_before_anything_is_kept(as_alice: Client, fields: Any) -> None:
    chosen = {"start": "cron", "cron": "30 7 1 * *", "preview": "yes"}
    answer = as_alice.post(reverse("jobs"), fields | chosen | {"command": ""})
    page = answer.content.decode()
    assert answer.status_code == 200 and not Trigger.objects.exists()
    runs = answer.context["next_runs"]
    assert len(runs) == 3 and all(f"{at:%A}, 1 {at:%B %Y}, 07:30" in page for at in runs)
    assert 'id="id_command_error"' not in page and 'value="30 7 1 * *"' in page
    weekly = as_alice.post(reverse("jobs"), fields | {"start": "schedule", "weekdays": ["0"], "at": "07:30", "preview": "yes"})
    assert [f"{at:%A %H:%M}" for at in weekly.context["next_runs"]] == ["Monday 07:30"] * 3


@pytest.mark.parametrize(
    ("chosen", "field", "words"),
    [
        ({"start": "cron", "cron": "0 0 31 2 *"}, "cron", "there is no 31 February"),
        ({"start": "cron", "cron": ""}, "cron", "Five fields"),
        ({"start": "schedule", "weekdays": ["0"], "at": "7"}, "at", "A time is such as 07:30."),
        ({"start": "schedule", "at": "07:30"}, "weekdays", "Choose at least one day"),
    ],
)
@pytest.mark.parametrize("look", [{"preview": "yes"}, {"name": "nightly"}])
def test_what_is_wrong_with_a_schedule_is_said_beside_its_field(as_alice: Client, fields: Any, chosen: Any, field: str, words: str, look: Any) -> None:
    answer = as_alice.post(reverse("jobs"), fields | chosen | look)
    assert answer.status_code == 422 and words in " ".join(answer.context["form"].errors[field]) and not Trigger.objects.exists()


def test_an_expression_is_kept_and_said_in_words(as_alice: Client, alice: Any, fields: Any) -> None:
    as_alice.post(reverse("jobs"), fields | {"start": "cron", "cron": "0 8,16 * * *", "name": "twice"})
    assert Trigger.objects.get(owner=alice).cron == "0 8,16 * * *"
    assert "at 08:00 and 16:00 every day" in as_alice.get(reverse("jobs")).content.decode()


def test_a_second_click_makes_one_job(as_alice: Client, fields: dict[str, Any]) -> None:
    key = as_alice.get(reverse("jobs")).context["form"]["key"].value()
    for _ in range(2):
        assert as_alice.post(reverse("jobs"), fields | {"key": key}).status_code == 302
    assert Lab.objects.count() == 1


def test_a_job_runs_on_an_image_of_ones_own_and_sees_none_of_others(as_alice: Client, as_charlie: Client, alice: Any, image: Any, node: Any) -> None:
    Image.objects.filter(pk=image.pk).update(made_by=alice)
    assert image.title in as_alice.get(reverse("jobs")).content.decode()
    assert image.title not in as_charlie.get(reverse("jobs")).content.decode()


def test_the_secret_of_a_call_is_shown_once(as_alice: Client, fields: Any) -> None:
    page = as_alice.post(reverse("jobs"), fields | {"start": "call", "name": "on-push"}, follow=True).content.decode()
    assert "gpj_" in page
    assert "gpj_" not in as_alice.get(reverse("jobs")).content.decode()


@pytest.mark.parametrize("change", [{"command": ""}, {"command": "python 'x"}, {"folder": "../etc"}, {"gpus": 99}, {"start": "schedule", "name": "x"}])
def test_what_cannot_be_is_said_beside_its_field(as_alice: Client, fields: Any, change: dict[str, Any]) -> None:
    answer = as_alice.post(reverse("jobs"), fields | change)
    assert answer.status_code == 422 and not Lab.objects.exists() and not Trigger.objects.exists()


def test_nobody_touches_what_is_another_persons(as_alice: Client, as_charlie: Client, fields: Any) -> None:
    as_alice.post(reverse("jobs"), fields | {"start": "call", "name": "on-push"})
    kept = Trigger.objects.get()
    assert [as_charlie.post(reverse(name, args=[kept.pk])).status_code for name in ("job_pause", "job_run", "job_remove")] == [404] * 3
