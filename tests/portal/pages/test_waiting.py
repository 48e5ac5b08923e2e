"""What a person sees and does while a lab waits."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labs.lifecycle import states
from labs.lifecycle.models import Lab, QueueMove
from labs.lifecycle.ordering import queue_move
from labs.people.models import User
from labs.scheduler.snapshot import Estimate
from portal.pages.templatetags.queue import about, clock_words
from tests.support.queue import run, tick

CARDS = ["GPU-00000000-test", "GPU-00000001-test"]


@pytest.fixture
def full(lab_of: Any, charlie: User, now: datetime) -> Lab:
    """Both cards are charlie's for two hours."""
    return run(lab_of(charlie, gpus=2), CARDS, now)


@pytest.fixture
def waiting(full: Lab, lab_of: Any, alice: User) -> Lab:
    """A lab of alice's that waits for a card."""
    return lab_of(alice, gpus=1, name="thesis")


def _page(browser: Client, name: str, *args: object) -> str:
    return browser.get(reverse(name, args=args)).content.decode()


def test_a_lab_says_its_place_and_every_reason(as_alice: Client, waiting: Lab) -> None:
    page = _page(as_alice, "lab", waiting.pk)
    assert "Place 1 in the queue" in page and "Why it waits" in page
    assert "What would start it sooner" in page


def test_home_says_when_the_next_card_comes_free_and_offers_to_run_without(as_alice: Client, waiting: Lab, full: Lab) -> None:
    page = _page(as_alice, "home")
    assert "0</span> of 2 GPUs free now" in page and full.ends_at is not None and full.ends_at.isoformat() in page
    assert "Place 1" in page and "Run on 0 GPUs now" in page


def test_running_without_gpus_is_not_offered_where_it_would_not_start(as_alice: Client, waiting: Lab, node: Any) -> None:
    type(node).objects.filter(pk=node.pk).update(state="cordoned")
    assert "Run on 0 GPUs now" not in _page(as_alice, "home")


def test_only_its_owner_acts_on_a_waiting_lab(as_bob: Client, as_charlie: Client, as_root: Client, client: Client, waiting: Lab) -> None:
    for name in ("lab_lever", "lab_ask_first", "lab_take"):
        url = reverse(name, args=[waiting.pk])
        assert [browser.post(url, {"code": "gpus:0", "ask_first": "on"}).status_code for browser in (as_bob, as_charlie, as_root, client)] == [
            404,
            404,
            404,
            302,
        ]
        assert as_root.get(url).status_code == 405
    waiting.refresh_from_db()
    assert (waiting.gpus, waiting.ask_first, waiting.state) == (1, False, states.QUEUED)


def test_the_levers_of_a_lab_are_its_owners_to_see(as_bob: Client, as_alice: Client, waiting: Lab) -> None:
    assert as_bob.get(reverse("lab_levers", args=[waiting.pk])).status_code == 404
    assert as_alice.get(reverse("lab_levers", args=[waiting.pk])).status_code == 200


def test_a_lever_that_there_is_not_changes_nothing_and_says_so(as_alice: Client, waiting: Lab) -> None:
    answer = as_alice.post(reverse("lab_lever", args=[waiting.pk]), {"code": "gpus:99; rm"}, follow=True)
    assert "would not start it sooner any more" in answer.content.decode()
    waiting.refresh_from_db()
    assert waiting.gpus == 1


def test_asking_first_is_one_click_there_and_back(as_alice: Client, waiting: Lab) -> None:
    url = reverse("lab_ask_first", args=[waiting.pk])
    assert "Start by itself after all" in as_alice.post(url, {"ask_first": "on"}, follow=True).content.decode()
    assert "Tell me first" in as_alice.post(url, follow=True).content.decode()


def test_an_offer_has_a_countdown_and_a_button_that_starts_it(as_alice: Client, lab_of: Any, alice: User, now: datetime) -> None:
    lab = lab_of(alice, gpus=1, ask_first=True)
    tick(now)
    for page in (_page(as_alice, "lab", lab.pk), _page(as_alice, "home")):
        assert "Its turn has come" in page and "Claim it and start" in page and "data-left" in page
    assert "is starting" in as_alice.post(reverse("lab_take", args=[lab.pk]), follow=True).content.decode()
    assert Lab.objects.get(pk=lab.pk).state == states.STARTING


def test_a_claim_after_the_ten_minutes_is_told_in_words(as_alice: Client, lab_of: Any, alice: User, now: datetime) -> None:
    lab = lab_of(alice, gpus=1, ask_first=True)
    tick(now - timedelta(minutes=11))
    assert "ten minutes are over" in as_alice.post(reverse("lab_take", args=[lab.pk]), follow=True).content.decode()
    tick(now)
    page = _page(as_alice, "lab", lab.pk)
    assert "went to the next" in page and "Launch again" in page


def test_the_form_can_queue_a_lab_that_asks_first(as_alice: Client, full: Lab, alice: User, image: Any) -> None:
    wish = {"image": image.pk, "gpus": 1, "cpus": 2, "memory_gib": 4, "hours": 2, "key": "k"}
    assert "Queue, and tell me first" in as_alice.get(reverse("launch_verdict"), wish).content.decode()
    as_alice.post(reverse("launch"), wish | {"ask_first": "on"})
    assert Lab.objects.get(owner=alice).ask_first


def test_the_form_marks_what_would_be_over_the_guarantee_before_the_click(as_alice: Client, node: Any, alice: User, image: Any) -> None:
    for index in (2, 3):
        node.gpus.create(uuid=f"GPU-0000000{index}-test", index=index, model="NVIDIA H200", memory_mib=143771, compute_capability="9.0")
    wish = {"image": image.pk, "gpus": 4, "cpus": 2, "memory_gib": 4, "hours": 2, "key": "k"}
    page = as_alice.get(reverse("launch_verdict"), wish).content.decode()
    assert "2 of 4 GPUs would be over your guarantee" in page and "5 minutes" in page
    assert "would be over" not in as_alice.get(reverse("launch_verdict"), wish | {"gpus": 2}).content.decode()
    as_alice.post(reverse("launch"), wish | {"inside": "on"})
    assert not Lab.objects.get(owner=alice).may_borrow


def test_a_button_of_home_says_before_the_click_that_it_would_be_over_the_guarantee(as_alice: Client, alice: User, lab_of: Any, now: datetime) -> None:
    assert "over your guarantee" not in _page(as_alice, "home")
    run(lab_of(alice, gpus=2), CARDS, now)
    assert _page(as_alice, "home").count("over your guarantee") == 1


def test_the_button_says_the_place_and_the_time(as_alice: Client, full: Lab, image: Any) -> None:
    wish = {"image": image.pk, "gpus": 1, "cpus": 2, "memory_gib": 4, "hours": 2, "key": "k"}
    assert "Queue (place 1" in as_alice.get(reverse("launch_verdict"), wish).content.decode()


def test_only_administrators_move_labs_in_the_queue(as_alice: Client, as_root: Client, client: Client, waiting: Lab) -> None:
    url = reverse("queue_lab_move", args=[waiting.pk])
    body = {"to": "first", "reason": "Paper"}
    assert [browser.post(url, body).status_code for browser in (as_alice, client)] == [403, 302]
    assert "queue_lab_move" not in _page(as_alice, "queue") and not QueueMove.objects.exists()
    page = as_root.post(url, body, follow=True).content.decode()
    assert "goes first" in page and "Undo: back to its own place" in page


def test_a_move_without_a_reason_is_refused_in_words(as_root: Client, waiting: Lab) -> None:
    page = as_root.post(reverse("queue_lab_move", args=[waiting.pk]), {"to": "first", "reason": " "}, follow=True).content.decode()
    assert "write why" in page and not QueueMove.objects.exists()


def test_a_person_reads_why_their_lab_was_moved(as_alice: Client, as_bob: Client, waiting: Lab, root_admin: User, now: datetime) -> None:
    queue_move(lab=waiting, first=False, reason="The exam needs the cards", actor=root_admin, now=now)
    for page in (_page(as_alice, "lab", waiting.pk), _page(as_alice, "home"), _page(as_alice, "queue")):
        assert "The exam needs the cards" in page
    assert "The exam" not in _page(as_bob, "queue")


def test_undoing_a_move_is_one_click(as_root: Client, waiting: Lab, root_admin: User, now: datetime) -> None:
    queue_move(lab=waiting, first=True, reason="Paper", actor=root_admin, now=now)
    as_root.post(reverse("queue_lab_move_undo", args=[waiting.pk]))
    assert not QueueMove.objects.filter(undone_at=None).exists()


@pytest.mark.parametrize(("minutes", "words"), [(0, "12:00"), (60 * 20, "Sun 08:00"), (60 * 24 * 9, "30 Nov, 12:00"), (-60 * 20, "Fri 16:00")])
def test_a_clock_names_the_day_only_where_it_is_another(minutes: int, words: str, settings: Any) -> None:
    settings.TIME_ZONE = "UTC"
    noon = datetime.fromisoformat("2026-11-21T12:00:00+00:00")
    assert clock_words(noon + timedelta(minutes=minutes), noon) == words


def test_a_range_is_told_as_people_say_it(now: datetime) -> None:
    def said(soonest: float, latest: float) -> str:
        return str(about(Estimate(now + timedelta(minutes=soonest), now + timedelta(minutes=latest))))

    assert about(None, "–") == "–"
    assert said(0, 0.5) == "any moment"
    assert said(0, 30).startswith("by about <time")
    assert said(30, 30.5).count("<time") == 1
    assert said(30, 60).count("<time") == 2 and "–" in said(30, 60)


def test_a_long_queue_shows_its_front_and_ones_own_and_counts_the_rest(as_alice: Client, waiting: Lab, monkeypatch: pytest.MonkeyPatch, lab_of: Any) -> None:
    monkeypatch.setattr("portal.pages.queue.ROWS", 0)
    assert "thesis" in _page(as_alice, "queue")
    lab_of(User.objects.get(email="charlie@example.edu"), gpus=1)
    assert "1 more lab waits behind these" in _page(as_alice, "queue")
