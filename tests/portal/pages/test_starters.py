"""The pages of templates: cards that start a lab, the form of those who make them, and where Open leads."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from labs.files.models import Desk
from labs.fleet.models import Node, NodeImage
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign, lab_ready
from labs.people.models import Group, Role, User
from labs.people.services import token_create
from labs.starters.models import Parcel, Start, Template
from labs.starters.queries import starts_wanted
from labs.starters.services import start_failed, start_ready
from tests.labs.starters.test_templates import COMMIT, DRAFT

pytestmark = pytest.mark.django_db
SIZES = {"gpus": 1, "least_gpus": 0, "cpus": 4, "memory_gib": 16, "hours": 4}
FORM = {"title": "Vision 101", "summary": "Lesson one.", "minutes": 20, "url": DRAFT.url, "commit": COMMIT, "first": DRAFT.first} | SIZES


@pytest.fixture
def made(as_alice: Client, alice: User, team: Group, node: Node) -> Template:
    """Alice, a teacher, makes a template for the team by the form."""
    User.objects.filter(pk=alice.pk).update(role=Role.TEACHER)
    assert as_alice.post(reverse("templates"), FORM | {"group": team.pk}).status_code == 302
    return Template.objects.get()


def page(client: Client, name: str = "templates", *parts: object) -> str:
    return client.get(reverse(name, args=parts)).content.decode()


def test_it_stands_on_the_launch_page_of_the_team_and_of_nobody_else(made: Template, as_alice: Client, as_bob: Client, as_charlie: Client) -> None:
    assert "Lesson one." in page(as_bob, "launch") and "Lesson one." in page(as_bob)
    assert "Make a template" in page(as_alice) and "Make a template" not in page(as_bob)
    assert "Lesson one." not in page(as_charlie, "launch")
    assert "No template yet" in page(as_charlie)
    for client, status in ((as_bob, 403), (as_charlie, 403)):
        assert client.post(reverse("templates"), FORM).status_code == status
    for client in (as_bob, as_charlie):
        assert client.get(reverse("template", args=[made.slug])).status_code == 404
        assert client.post(reverse("template_off", args=[made.slug])).status_code == 404


def test_what_is_wrong_is_said_beside_its_field_and_what_was_typed_stays(made: Template, as_alice: Client, team: Group) -> None:
    answer = as_alice.post(reverse("templates"), FORM | {"title": "Another", "group": team.pk, "commit": "main"})
    assert answer.status_code == 422
    assert "a branch would change under your students" in answer.content.decode() and 'value="Another"' in answer.content.decode()


def test_a_new_version_is_made_from_the_last_and_it_can_be_retired(made: Template, as_alice: Client, as_bob: Client) -> None:
    assert COMMIT in page(as_alice, "template", made.slug)
    changed = {name: value for name, value in FORM.items() if name not in ("title", "summary", "minutes")} | {"commit": "f" * 40, "note": "Lesson two"}
    assert as_alice.post(reverse("template", args=[made.slug]), changed).status_code == 302
    assert "Lesson two" in page(as_alice, "template", made.slug)
    as_alice.post(reverse("template_off", args=[made.slug]))
    assert "Lesson one." not in page(as_bob, "launch")
    as_alice.post(reverse("template_off", args=[made.slug]), {"back": "1"})
    assert "Lesson one." in page(as_bob, "launch")


def _card(client: Client) -> dict[str, object]:
    """What the button of the card sends."""
    offer = client.get(reverse("launch")).context["starts"][0]
    sizes = {name: getattr(offer.sizes, name) for name in ("gpus", "cpus", "memory_gib", "hours")}
    return sizes | {"template": offer.template.slug, "image": offer.image.pk, "key": "k1"}


def test_one_click_on_a_card_is_one_lab_that_says_what_it_begins_with(made: Template, as_bob: Client) -> None:
    sent = _card(as_bob)
    assert as_bob.post(reverse("launch"), sent).status_code == as_bob.post(reverse("launch"), sent).status_code == 302
    lab = Lab.objects.get()
    assert Start.objects.get().lab == lab
    assert "It begins with Vision 101." in page(as_bob, "lab", lab.pk)


def test_other_sizes_keep_the_template(made: Template, as_bob: Client) -> None:
    answer = as_bob.get(reverse("launch") + f"?template={made.slug}")
    assert 'name="template" value="vision-101"' in answer.content.decode()
    refused = as_bob.post(reverse("launch"), _card(as_bob) | {"cpus": 5000})
    assert refused.status_code == 422 and 'name="template" value="vision-101"' in refused.content.decode()
    gone = as_bob.post(reverse("launch"), _card(as_bob) | {"template": "nothing"})
    assert gone.status_code == 422 and "There is no such template" in gone.content.decode()
    assert not Lab.objects.exists()


@pytest.mark.parametrize("worked", [True, False])
def test_open_leads_to_the_first_notebook_once_it_is_there(made: Template, as_bob: Client, now: datetime, worked: bool) -> None:
    as_bob.post(reverse("launch"), _card(as_bob) | {"gpus": 0})
    lab = Lab.objects.get()
    assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[], now=now) and lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=now)
    for _ in range(1 if worked else 3):
        start = starts_wanted(node_id="n1")[0]
        if worked:
            start_ready(start=start, opens="templates/vision-101-v1/lessons/my first.ipynb", kept=False, missing=[], now=now)
        else:
            start_failed(start=start, words="The repository could not be fetched.", now=now)
    shown = page(as_bob, "lab", lab.pk)
    assert ("Open my first.ipynb" in shown) == worked and ("The repository could not be fetched." in shown) == (not worked)


def test_the_api_lists_them_and_begins_a_lab_with_one(made: Template, bob: User, charlie: User, now: datetime, caller_of: Callable[[User], Client]) -> None:
    item = caller_of(bob).get("/api/v1/templates").json()["items"][0]
    assert (item["slug"], item["version"], item["folder"], item["refused"]) == ("vision-101", 1, "templates/vision-101-v1", "")
    assert caller_of(charlie).get("/api/v1/templates").json()["items"] == []
    body = item["sizes"] | {"template": "vision-101"}
    headers = {"HTTP_IDEMPOTENCY_KEY": "once"}
    answers = [caller_of(bob).post("/api/v1/labs", body, content_type="application/json", **headers) for _ in range(2)]
    assert [one.status_code for one in answers] in ([201, 200], [201, 201]) and Start.objects.count() == 1
    assert caller_of(charlie).post("/api/v1/labs", body, content_type="application/json").status_code in (404, 409, 422)


@pytest.fixture
def caller_of(now: datetime) -> Callable[[User], Client]:
    """A person's API client."""

    def make(user: User) -> Client:
        return Client(headers={"authorization": f"Bearer {token_create(user=user, name='t', scope='launch', now=now)[1]}"})

    return make


def _parcel(owner: User, now: datetime, **changes: object) -> Parcel:
    facts = {"state": "ready", "files": ["first.ipynb"], "size": 12, "digest": "ab" * 32, "content": b"PK"} | changes
    return Parcel.objects.create(owner=owner, node_id="n1", folder="lessons", asked_at=now, state_since=now, **facts)


def test_a_folder_of_ones_own_is_asked_for_and_becomes_a_template(
    made: Template, as_alice: Client, alice: User, team: Group, node: Node, now: datetime
) -> None:
    NodeImage.objects.update(state="present")
    assert as_alice.post(reverse("template_folder_copy"), {"node": "n1", "folder": "lessons"}).status_code == 302
    assert (Parcel.objects.get().state, Desk.objects.get().state) == ("asked", "opening")
    assert "It is being copied" in page(as_alice)
    Parcel.objects.all().delete()
    row = _parcel(alice, now, warnings=["first.ipynb holds what looks like a token."])
    assert "Look at this before you share it" in page(as_alice, "template_folders_now")
    address = f"{reverse('templates')}?parcel={row.pk}"
    assert "It may hold secrets" in as_alice.get(address).content.decode()
    of_folder = {name: value for name, value in FORM.items() if name not in ("url", "commit")} | {"title": "Of a folder", "group": team.pk}
    refused = as_alice.post(address, of_folder)
    assert (refused.status_code, list(refused.context["form"].errors)) == (422, ["looked"])
    assert as_alice.post(address, of_folder | {"looked": "on"}).status_code == 302
    assert "<code>/workspace/lessons</code>" in page(as_alice, "template", "of-a-folder")


def test_nobody_looks_into_anothers_copy_and_students_copy_nothing(
    made: Template, as_root: Client, as_bob: Client, as_alice: Client, alice: User, now: datetime
) -> None:
    row = _parcel(alice, now)
    assert as_root.get(f"{reverse('templates')}?parcel={row.pk}").status_code == 404
    assert "lessons" not in page(as_root, "template_folders_now")
    assert as_bob.post(reverse("template_folder_copy"), {"node": "n1", "folder": "lessons"}).status_code == 403
    answer = as_alice.post(reverse("template_folder_copy"), {"node": "elsewhere", "folder": "lessons"})
    assert (answer.status_code, Parcel.objects.count()) == (422, 1)
