"""Templates of folders: a copy that its maker has looked at, which nobody writes again."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from labs.catalogue.models import Image
from labs.fleet.models import Node
from labs.people.errors import Refused
from labs.people.models import Group, Role, User
from labs.starters.models import Bundle, Parcel, Template, Version
from labs.starters.queries import bundle_of
from labs.starters.rules import secret_in
from labs.starters.services import MOST_PARCELS, Packed, parcel_ask, parcel_failed, parcel_ready, parcels_forget, template_make, template_renew
from tests.labs.starters.test_templates import DRAFT, started

pytestmark = pytest.mark.django_db
OF_FOLDER = replace(DRAFT, url="", commit="")
PACKED = Packed(b"PK-1", ["first.ipynb", "data/a.csv"], 12, "ab" * 32, [])


@pytest.fixture
def teacher(alice: User) -> User:
    """Alice teaches the team of hers and bob's."""
    User.objects.filter(pk=alice.pk).update(role=Role.TEACHER)
    return User.objects.get(pk=alice.pk)


def copied(owner: User, node: Node, now: datetime, packed: Packed = PACKED) -> Parcel:
    parcel = parcel_ask(owner=owner, node=node, folder="/workspace/lessons/", now=now)
    assert parcel_ready(parcel=parcel, packed=packed, now=now)
    parcel.refresh_from_db()
    return parcel


def made(teacher: User, team: Group, parcel: Parcel, now: datetime, **changes: object) -> Template:
    draft = replace(OF_FOLDER, parcel=parcel, **changes)
    return template_make(title="Vision 101", summary="One.", minutes=5, group=team, draft=draft, actor=teacher, now=now)


def test_a_folder_becomes_a_version_with_a_copy_of_its_own(teacher: User, bob: User, team: Group, node: Node, image: Image, now: datetime) -> None:
    version = made(teacher, team, copied(teacher, node, now), now).versions.get()
    assert (version.home_node, version.home_folder, version.digest, bundle_of(version=version)) == ("n1", "lessons", PACKED.digest, b"PK-1")
    assert parcels_forget(now=now + timedelta(hours=25)) == 1
    assert bundle_of(version=version) == b"PK-1"
    assert started(bob, image, "vision-101", now).start.version == version


def test_the_same_folder_makes_a_new_version_when_something_in_it_is_new(teacher: User, team: Group, node: Node, now: datetime) -> None:
    template = made(teacher, team, copied(teacher, node, now), now)
    same, other = copied(teacher, node, now), copied(teacher, node, now, replace(PACKED, content=b"PK-2", digest="cd" * 32))
    with pytest.raises(Refused, match="is already"):
        template_renew(template=template, draft=replace(OF_FOLDER, parcel=same), actor=teacher, now=now)
    second = template_renew(template=template, draft=replace(OF_FOLDER, parcel=other), actor=teacher, now=now)
    assert (second.number, second.folder) == (2, "templates/vision-101-v2")
    assert sorted(bytes(one.content) for one in Bundle.objects.all()) == [b"PK-1", b"PK-2"]


def test_what_looks_like_a_secret_is_shared_only_by_somebody_who_looked(teacher: User, team: Group, node: Node, now: datetime) -> None:
    parcel = copied(teacher, node, now, replace(PACKED, warnings=["a.py holds what looks like a token."]))
    with pytest.raises(Refused) as refused:
        made(teacher, team, parcel, now)
    assert (refused.value.field, Version.objects.count()) == ("looked", 0)
    assert made(teacher, team, parcel, now, looked=True).versions.count() == 1


def test_a_copy_is_its_owners_alone_and_must_be_there(teacher: User, bob: User, root_admin: User, team: Group, node: Node, now: datetime) -> None:
    parcel = copied(teacher, node, now)
    with pytest.raises(Refused, match="not there any more"):
        template_make(title="Mine", summary="One.", minutes=5, group=None, draft=replace(OF_FOLDER, parcel=parcel), actor=root_admin, now=now)
    with pytest.raises(Refused, match=r"There is no other\.ipynb"):
        made(teacher, team, parcel, now, first="other.ipynb")
    with pytest.raises(Refused, match="Teachers"):
        parcel_ask(owner=bob, node=node, folder="lessons", now=now)
    for folder in ("", "../etc", ".ssh", "a/.git", "/"):
        with pytest.raises(Refused):
            parcel_ask(owner=teacher, node=node, folder=folder, now=now)


def test_asked_twice_while_it_is_copied_it_is_one_and_it_is_settled_once(teacher: User, node: Node, now: datetime) -> None:
    first, second = (parcel_ask(owner=teacher, node=node, folder="lessons", now=now) for _ in range(2))
    assert first == second
    assert parcel_failed(parcel=first, words="No.", now=now)
    assert not parcel_ready(parcel=first, packed=PACKED, now=now)
    assert Parcel.objects.get().state == "failed"


def test_so_many_copies_wait_at_once_and_room_comes_with_the_next_day(teacher: User, node: Node, now: datetime) -> None:
    for number in range(MOST_PARCELS):
        parcel_ask(owner=teacher, node=node, folder=f"lessons/{number}", now=now)
    assert parcel_failed(parcel=Parcel.objects.get(folder="lessons/0"), words="No.", now=now)
    parcel_ask(owner=teacher, node=node, folder="lessons/again", now=now)  # what was not copied takes no room
    with pytest.raises(Refused, match=f"{MOST_PARCELS} copies of folders") as refused:
        parcel_ask(owner=teacher, node=node, folder="lessons/more", now=now)
    assert refused.value.field == "folder"
    assert parcel_ask(owner=teacher, node=node, folder="lessons/again", now=now).folder == "lessons/again"  # the same one is no further one
    parcels_forget(now=now + timedelta(hours=25))
    assert parcel_ask(owner=teacher, node=node, folder="lessons/more", now=now + timedelta(hours=25)).state == "asked"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.py", b"x = 1\npassword_field = None\n", ""),
        ("notes.md", b"The token is in your account.", ""),
        ("a.py", b"API_KEY = 'sdfsdfsdf98'\n", "password or key"),
        ("nb.ipynb", rb'"source": ["wandb.login(api_key=\"0123456789abcdef\")"]', "password or key"),
        ("deploy.txt", b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "private key"),
        ("a.sh", b"export HF=hf_" + b"a" * 34, "token"),
        ("keys/id_ed25519", b"", "named like"),
        ("kaggle.json", b"{}", "named like"),
    ],
    ids=["field", "prose", "key", "notebook", "pem", "hub", "ssh", "kaggle"],
)
def test_careless_secrets_are_found_and_ordinary_code_is_left_alone(name: str, content: bytes, told: str) -> None:
    found = secret_in(name, content)
    assert (told in found and bool(found)) if told else found == ""
