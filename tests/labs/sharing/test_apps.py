"""TensorBoard and VS Code: one of each in a lab, wished by its owner, told by the worker."""

from collections.abc import Callable
from datetime import datetime

import pytest

from labs.fleet.models import Node
from labs.lifecycle.models import Lab
from labs.people.errors import Refused
from labs.people.models import User
from labs.sharing.models import App
from labs.sharing.queries import apps_of, apps_open, guests_now
from labs.sharing.rules import folder_wrong
from labs.sharing.services import app_answers, app_ended, app_start, app_stop, share_create
from tests.labs.sharing.test_shares import running

pytestmark = pytest.mark.django_db


@pytest.fixture
def lab(alice: User, lab_of: Callable[..., Lab], now: datetime) -> Lab:
    """Alice's running lab."""
    return running(lab_of(alice), now)


def start(lab: Lab, now: datetime, tool: str = "tensorboard", folder: str = "runs") -> App:
    return app_start(lab=lab, tool=tool, folder=folder, actor=lab.owner, now=now)


def test_a_second_click_starts_no_second_one(lab: Lab, now: datetime) -> None:
    assert start(lab, now) == start(lab, now, folder="./runs/")
    assert [app.tool for app in apps_open(node_id="n1")] == ["tensorboard"]


def test_on_another_folder_it_is_stopped_first(lab: Lab, now: datetime) -> None:
    start(lab, now)
    with pytest.raises(Refused, match="Stop it first"):
        start(lab, now, folder="other")
    assert start(lab, now, tool="vscode", folder="other")


def test_it_answers_once_and_ends_once(lab: Lab, now: datetime) -> None:
    app = start(lab, now)
    assert app_answers(app=app, port=40001, now=now) and not app_answers(app=app, port=40002, now=now)
    assert app_stop(lab=lab, tool="tensorboard", actor=lab.owner, now=now)
    assert not app_stop(lab=lab, tool="tensorboard", actor=lab.owner, now=now)
    assert app_ended(app=app, words="", now=now) and not app_ended(app=app, words="again", now=now)
    assert [(one.state, one.port, one.words) for one in apps_of(lab=lab)] == [("ended", 40001, "")]
    assert not app_answers(app=app, port=40003, now=now)
    assert start(lab, now).pk != app.pk


def test_what_was_shared_of_it_ends_with_it(lab: Lab, bob: User, now: datetime) -> None:
    app = start(lab, now)
    app_answers(app=app, port=40001, now=now)
    app.refresh_from_db()
    share_create(lab=lab, port=40001, name="", hours=1, email=bob.email, actor=lab.owner, now=now)
    app_ended(app=app, words="", now=now)
    assert guests_now(now=now) == {}


@pytest.mark.parametrize("folder", ["../other", "a/../../b", "/etc", "a\nb", "a\x00b", "a\x1b[2J", "x" * 201])
def test_what_is_no_folder_of_a_workspace_is_refused(lab: Lab, now: datetime, folder: str) -> None:
    with pytest.raises(Refused):
        start(lab, now, folder=folder)
    assert not App.objects.exists()


@pytest.mark.parametrize("folder", ["", "runs", "a b/c-d_e", "läufe/日本", 'it\'s $(here); `x` "y"', "a..b"])
def test_every_name_that_a_folder_can_have_is_taken(folder: str) -> None:
    assert folder_wrong(folder) == ""


def test_nothing_starts_in_a_lab_that_does_not_run(lab: Lab, now: datetime) -> None:
    Lab.objects.filter(pk=lab.pk).update(state="stopping")
    lab.refresh_from_db()
    with pytest.raises(Refused):
        start(lab, now)


def test_without_walls_between_people_there_is_no_vs_code_without_a_password(lab: Lab, now: datetime) -> None:
    Node.objects.update(isolates=False)
    lab = Lab.objects.select_related("owner", "node").get(pk=lab.pk)
    with pytest.raises(Refused, match="SSH"):
        start(lab, now, tool="vscode")
    assert start(lab, now)
