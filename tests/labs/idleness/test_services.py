"""The idle clock of a lab: warnings, whether they arrived, keeping, the end."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from labs.idleness.models import Idleness
from labs.idleness.rules import Do, Signs
from labs.idleness.services import idle_look, idle_told, lab_keep
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.notices.models import Delivery, Notice
from labs.people.errors import Refused
from labs.people.models import User

QUIET = Signs(gpus=0, cpus=2, gpu_pct=None, cpu_pct=0, jupyter=True, ssh=0)
BUSY = Signs(gpus=0, cpus=2, gpu_pct=None, cpu_pct=150, jupyter=True, ssh=0)


@pytest.fixture
def running(alice: User, lab_of: Callable[..., Lab], now: datetime) -> Lab:
    """Alice's lab without GPUs, begun now."""
    lab = lab_of(alice)
    Lab.objects.filter(pk=lab.pk).update(state=states.RUNNING, node_id="n1", started_at=now, state_since=now, ends_at=now + timedelta(hours=30))
    lab.refresh_from_db()
    return lab


@pytest.fixture
def look(running: Lab, now: datetime) -> Callable[..., Do]:
    """Look at the lab after so many minutes; what is due."""

    def at(minutes: float, signs: Signs = QUIET) -> Do:
        return idle_look(lab=running, signs=signs, now=now + timedelta(minutes=minutes)).do

    return at


def code(lab: Lab) -> str:
    return Lab.objects.values_list("reason_code", flat=True).get(pk=lab.pk)


def test_an_unused_lab_is_warned_of_three_times_and_then_stopped(running: Lab, look: Callable[..., Do]) -> None:
    assert [look(minute) for minute in (1, 30, 40, 45, 56, 59)] == [Do.NOTHING, Do.WARN, Do.NOTHING, Do.WARN, Do.WARN, Do.NOTHING]
    assert Notice.objects.filter(user=running.owner, kind="idle").count() == 3
    assert look(60) == Do.STOP
    assert code(running) == "idle"


def test_use_begins_the_clock_anew(running: Lab, look: Callable[..., Do]) -> None:
    assert look(56) == Do.WARN
    assert look(58, BUSY) == Do.NOTHING
    assert look(70) == Do.NOTHING
    assert look(58 + 30) == Do.WARN
    assert code(running) == ""


def test_a_lab_whose_mail_did_not_go_out_is_not_stopped(running: Lab, look: Callable[..., Do], settings: object, now: datetime) -> None:
    settings.EMAIL_HOST = "mail.example.edu"  # type: ignore[attr-defined]
    look(56)
    notice = Idleness.objects.get().notice
    assert notice is not None
    Delivery.objects.get_or_create(notice=notice, channel="mail", defaults={"next_try_at": now})
    Idleness.objects.update(delivered_at=None)
    assert look(90) == Do.NOTHING
    assert code(running) == ""
    Delivery.objects.filter(notice=notice).update(state=Delivery.State.SENT, sent_at=now + timedelta(minutes=91))
    assert look(92) == Do.NOTHING
    assert look(94) == Do.STOP


def test_a_warning_that_stands_in_a_terminal_has_arrived(running: Lab, look: Callable[..., Do], now: datetime) -> None:
    look(56)
    Idleness.objects.update(delivered_at=None)
    idle_told(lab=running, now=now + timedelta(minutes=57))
    assert Idleness.objects.get().delivered_at == now + timedelta(minutes=57)


def test_its_owner_keeps_it_for_a_while_and_twice_at_most(running: Lab, look: Callable[..., Do], now: datetime) -> None:
    look(56)
    lab_keep(lab=running, hours=4, actor=running.owner, now=now + timedelta(minutes=57))
    assert look(200) == Do.NOTHING
    assert look(57 + 240 + 29) == Do.NOTHING
    assert look(57 + 240 + 31) == Do.WARN
    lab_keep(lab=running, hours=1, actor=running.owner, now=now + timedelta(minutes=330))
    with pytest.raises(Refused, match="2 times already"):
        lab_keep(lab=running, hours=1, actor=running.owner, now=now + timedelta(minutes=331))


def test_a_lab_is_kept_or_stopped_and_never_both(running: Lab, look: Callable[..., Do], now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    for minutes in (30, 45, 55.3):
        assert look(minutes) == Do.WARN

    def unable(**_: object) -> bool:
        raise RuntimeError("the database is away")

    with monkeypatch.context() as broken, pytest.raises(RuntimeError):
        broken.setattr("labs.idleness.services.lab_end", unable)
        look(60)
    assert Idleness.objects.get(lab=running).seen_at == now + timedelta(minutes=55.3), "the look and the end are one"
    assert look(60) == Do.STOP and running.state == states.RUNNING, "what its page still shows"
    with pytest.raises(Refused, match="Only a running lab"):
        lab_keep(lab=running, hours=1, actor=running.owner, now=now + timedelta(minutes=60))


@pytest.mark.parametrize("hours", [0, 5, -1])
def test_it_is_kept_for_no_longer_than_the_house_allows(running: Lab, now: datetime, hours: int) -> None:
    with pytest.raises(Refused, match="1 to 4 hours"):
        lab_keep(lab=running, hours=hours, actor=running.owner, now=now)


def test_a_colleague_keeps_nobody_elses_lab(running: Lab, bob: User, client: Client, now: datetime) -> None:
    with pytest.raises(Refused, match="Only its owner"):
        lab_keep(lab=running, hours=1, actor=bob, now=now)
    client.force_login(bob)
    assert client.post(reverse("lab_keep", args=[running.pk]), {"hours": 1}).status_code == 404


def test_the_page_shows_each_sign_the_rule_and_the_button(running: Lab, look: Callable[..., Do], client: Client) -> None:
    look(1)
    client.force_login(running.owner)
    text = client.get(reverse("lab", args=[running.pk])).content.decode()
    assert "Stopped when nothing uses it for 60 minutes" in text
    assert "no connection" in text
    assert "Keep it for" not in text
    look(31)
    text = client.get(reverse("lab", args=[running.pk])).content.decode()
    assert "Keep it for 4 hours" in text
    client.post(reverse("lab_keep", args=[running.pk]), {"hours": 4})
    assert Idleness.objects.get().keeps == 1
