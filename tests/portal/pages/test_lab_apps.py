"""Apps and shares on a lab's page, and Shared with me on Home."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from labs.lifecycle.models import Lab
from labs.people.models import Group, User
from labs.sharing.models import App, Share
from labs.sharing.services import app_answers, app_ended
from tests.labs.sharing.test_shares import running

pytestmark = pytest.mark.django_db


@pytest.fixture
def lab(alice: User, lab_of: Callable[..., Lab], now: datetime) -> Lab:
    """Alice's running lab."""
    return running(lab_of(alice), now)


def page(browser: Client, lab: Lab) -> str:
    return browser.get(reverse("lab", args=[lab.pk])).content.decode()


def share(browser: Client, lab: Lab, **what: object) -> int:
    fields = {"port": 8080, "name": "Demo", "email": "bob@example.edu", "hours": 8}
    return browser.post(reverse("lab_share", args=[lab.pk]), {key: value for key, value in (fields | what).items() if value is not None}).status_code


def test_one_click_starts_tensorboard_and_the_page_follows_it(as_alice: Client, lab: Lab, now: datetime) -> None:
    assert as_alice.post(reverse("lab_app_start", args=[lab.pk]), {"tool": "tensorboard", "folder": "runs"}).status_code == 302
    moving = reverse("lab_apps", args=[lab.pk])
    assert "Starting" in as_alice.get(moving).content.decode()
    app = App.objects.get()
    app_answers(app=app, port=40001, now=now)
    text = as_alice.get(moving).content.decode()
    assert "Open TensorBoard" in text and reverse("app_open", args=[lab.pk, 40001]) in text
    assert as_alice.post(reverse("lab_app_stop", args=[lab.pk]), {"tool": "tensorboard"}).status_code == 302
    app.refresh_from_db()
    assert app.stop


def test_why_a_tool_did_not_start_is_said_beside_it(as_alice: Client, lab: Lab, now: datetime) -> None:
    as_alice.post(reverse("lab_app_start", args=[lab.pk]), {"tool": "vscode"})
    app_ended(app=App.objects.get(), words="This image has no VS Code for the browser.", now=now)
    assert "This image has no VS Code for the browser." in page(as_alice, lab)


def test_a_bad_folder_is_told_in_words(as_alice: Client, lab: Lab) -> None:
    answer = as_alice.post(reverse("lab_app_start", args=[lab.pk]), {"tool": "tensorboard", "folder": "../x"}, follow=True)
    assert "leads out of the workspace" in answer.content.decode()
    assert not App.objects.exists()


def test_a_guest_finds_what_is_shared_on_home_until_it_is_withdrawn(as_alice: Client, as_bob: Client, as_charlie: Client, lab: Lab) -> None:
    share(as_alice, lab)
    opener = reverse("app_open", args=[lab.pk, 8080])
    home = as_bob.get(reverse("home")).content.decode()
    assert "Shared with me" in home and opener in home and "Alice" in home
    assert opener not in as_charlie.get(reverse("home")).content.decode()
    assert "Bob" in page(as_alice, lab)
    as_alice.post(reverse("lab_share_withdraw", args=[lab.pk, Share.objects.get().pk]))
    assert opener not in as_bob.get(reverse("home")).content.decode()


def test_a_share_shows_nothing_else_of_the_lab(as_alice: Client, as_bob: Client, lab: Lab) -> None:
    share(as_alice, lab)
    for name in ("lab", "lab_apps", "lab_state", "lab_history"):
        assert as_bob.get(reverse(name, args=[lab.pk])).status_code == 404
    for name in ("lab_open", "lab_app_start", "lab_app_stop", "lab_share", "lab_stop"):
        assert as_bob.post(reverse(name, args=[lab.pk])).status_code == 404
    assert as_bob.post(reverse("lab_share_withdraw", args=[lab.pk, Share.objects.get().pk])).status_code == 404
    assert Share.objects.filter(withdrawn_at=None).count() == 1


def test_a_share_with_a_team_and_what_is_wrong_with_one(as_alice: Client, as_bob: Client, lab: Lab, team: Group) -> None:
    share(as_alice, lab, email=None, group=team.pk)
    assert "Shared with me" in as_bob.get(reverse("home")).content.decode()
    for wrong in ({"port": 8888}, {"port": "x"}, {"email": "nobody@example.edu"}, {"group": team.pk}, {"hours": 5}, {"email": "no address"}):
        assert share(as_alice, lab, **wrong) == 302
    assert Share.objects.count() == 1


def test_an_administrator_does_not_share_or_start_anything_in_anothers_lab(as_root: Client, lab: Lab) -> None:
    assert share(as_root, lab) == 404
    assert as_root.post(reverse("lab_app_start", args=[lab.pk]), {"tool": "tensorboard"}).status_code == 404
    assert 'id="apps"' not in page(as_root, lab)


def test_where_labs_share_one_address_there_is_the_terminal_alone(as_alice: Client, lab: Lab) -> None:
    with override_settings(LABS_ORIGIN="single"):
        text = page(as_alice, lab)
        assert "Open a terminal" in text and "Share a port" not in text and "share one address" in text
        as_alice.post(reverse("lab_app_start", args=[lab.pk]), {"tool": "tensorboard"})
    assert not App.objects.exists()
