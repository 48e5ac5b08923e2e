"""Templates: who makes them and for whom, their versions, and the labs that begin with one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from labs.catalogue.models import Image
from labs.fleet.models import Node
from labs.ledger.models import Event
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign, lab_ready
from labs.lifecycle.occupancy import nodes_view
from labs.lifecycle.wishes import Wish
from labs.people.errors import Refused
from labs.people.models import Group, Role, User
from labs.policy.queries import limits_of
from labs.starters.models import Start, Template, Version
from labs.starters.queries import offers_of, start_of, starts_wanted, templates_for, templates_managed
from labs.starters.rules import Needs, Room, path_fits, short_of_gpus, slug_of, url_wrong
from labs.starters.services import (
    Draft,
    Shipped,
    start_failed,
    start_ready,
    template_make,
    template_renew,
    template_retire,
    template_start,
    templates_ship,
)

pytestmark = pytest.mark.django_db
COMMIT = "0123456789abcdef0123456789abcdef01234567"
DRAFT = Draft(Needs(gpus=1, least_gpus=0, cpus=4, memory_gib=16, hours=4), first="first.ipynb", url="https://git.example.edu/vision/course.git", commit=COMMIT)
TOUR = Shipped("gpu-tour", "GPU tour", "What is in the machine.", 5, replace(DRAFT, url="", commit="", digest="ab" * 32))


@pytest.fixture
def teacher(alice: User) -> User:
    """Alice teaches the team of hers and bob's."""
    User.objects.filter(pk=alice.pk).update(role=Role.TEACHER)
    return User.objects.get(pk=alice.pk)


@pytest.fixture
def make(teacher: User, team: Group, now: datetime) -> Callable[..., Template]:
    """A template of the teacher's for the team."""
    usual = {"title": "Vision 101", "summary": "Lesson one.", "minutes": 20, "group": team, "draft": DRAFT, "actor": teacher, "now": now}
    return lambda **changes: template_make(**(usual | changes))


def titles(user: User) -> list[str]:
    return [one.template.title for one in templates_for(user=user)]


def started(owner: User, image: Image, slug: str, now: datetime, key: str = "") -> Lab:
    wish = Wish(image_id=image.pk, gpus=0, cpus=2, memory_gib=4, hours=2)
    return template_start(owner=owner, slug=slug, wish=wish, now=now, actor=owner, idempotency_key=key)


def test_a_teachers_template_is_for_the_team_and_not_for_strangers(
    make: Callable[..., Template], teacher: User, bob: User, charlie: User, root_admin: User
) -> None:
    made = make()
    assert titles(teacher) == titles(bob) == titles(root_admin) == ["Vision 101"]
    assert titles(charlie) == []
    assert templates_managed(user=teacher) == templates_managed(user=root_admin) == [made]
    assert templates_managed(user=bob) == []
    assert Event.objects.get(subject=made.subject).words == "Template Vision 101 made for Vision."


def test_only_administrators_make_them_for_everybody(make: Callable[..., Template], root_admin: User, bob: User, charlie: User, team: Group) -> None:
    with pytest.raises(Refused, match="Choose one of them"):
        make(group=None)
    for person in (bob, charlie):
        with pytest.raises(Refused, match="Teachers and administrators"):
            make(actor=person)
    make(group=None, actor=root_admin)
    assert titles(charlie) == ["Vision 101"]


def test_two_of_one_name_cannot_be(make: Callable[..., Template]) -> None:
    make()
    with pytest.raises(Refused, match="vision-101 already") as caught:
        make(title="Vision  101!")
    assert caught.value.field == "title"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "git@host:repo.git"}, "url"),
        ({"url": "file:///etc"}, "url"),
        ({"url": "https://me:secret@host/repo"}, "url"),
        ({"url": "https://host/repo --upload-pack=x"}, "url"),
        ({"url": "--upload-pack=x"}, "url"),
        ({"url": "https://host:x/repo"}, "url"),
        ({"url": ""}, "url"),
        ({"commit": "main"}, "commit"),
        ({"commit": "-" * 40}, "commit"),
        ({"first": "../first.ipynb"}, "first"),
        ({"first": "/etc/passwd"}, "first"),
        ({"first": ".hidden.ipynb"}, "first"),
        ({"data": ("../x",)}, "data"),
        ({"needs": replace(DRAFT.needs, least_gpus=2)}, "least_gpus"),
    ],
)
def test_what_can_be_no_template_is_refused_beside_its_field(make: Callable[..., Template], change: dict[str, object], field: str) -> None:
    with pytest.raises(Refused) as caught:
        make(draft=replace(DRAFT, **change))
    assert caught.value.field == field
    assert not Template.objects.exists()


def test_a_version_never_changes_and_a_new_one_has_its_own_folder(make: Callable[..., Template], teacher: User, charlie: User, now: datetime) -> None:
    made = make()
    with pytest.raises(Refused, match="the version that there is"):
        template_renew(template=made, draft=DRAFT, actor=teacher, now=now)
    with pytest.raises(Refused):
        template_renew(template=made, draft=replace(DRAFT, commit="f" * 40), actor=charlie, now=now)
    template_renew(template=made, draft=replace(DRAFT, commit="f" * 40, note="Lesson two"), actor=teacher, now=now)
    assert [(one.folder, one.commit) for one in made.versions.all()] == [("templates/vision-101-v2", "f" * 40), ("templates/vision-101-v1", COMMIT)]
    assert [one.number for one in templates_for(user=teacher)] == [2]


def test_a_retired_one_is_not_offered_and_can_return(make: Callable[..., Template], teacher: User, bob: User, image: Image, node: Node, now: datetime) -> None:
    made = make()
    assert template_retire(template=made, retired=True, actor=teacher, now=now)
    assert not template_retire(template=made, retired=True, actor=teacher, now=now)
    assert titles(bob) == []
    with pytest.raises(Refused, match="no such template"):
        started(bob, image, "vision-101", now)
    assert template_retire(template=made, retired=False, actor=teacher, now=now)
    assert titles(bob) == ["Vision 101"]


def test_what_is_shipped_is_told_once_and_anew_when_its_files_change(charlie: User, now: datetime) -> None:
    assert templates_ship(found=[TOUR], now=now) == 1
    assert templates_ship(found=[TOUR], now=now) == 0
    assert templates_ship(found=[replace(TOUR, title="Tour of the GPU", draft=replace(TOUR.draft, digest="cd" * 32))], now=now) == 1
    assert titles(charlie) == ["Tour of the GPU"]
    assert [one.number for one in templates_for(user=charlie)] == [2]


def test_what_is_shipped_takes_no_name_from_a_teacher_and_is_not_a_teachers_to_change(make: Callable[..., Template], root_admin: User, now: datetime) -> None:
    make(title="GPU tour")
    assert templates_ship(found=[TOUR, replace(TOUR, slug="other")], now=now) == 1
    assert not Template.objects.get(slug="gpu-tour").shipped
    with pytest.raises(Refused, match="comes with GPU Lab"):
        template_renew(template=Template.objects.get(slug="other"), draft=DRAFT, actor=root_admin, now=now)


def test_one_click_makes_one_lab_with_its_start(make: Callable[..., Template], bob: User, charlie: User, image: Image, node: Node, now: datetime) -> None:
    make()
    lab = started(bob, image, "vision-101", now, key="k")
    assert started(bob, image, "vision-101", now + timedelta(seconds=1), key="k") == lab
    assert Start.objects.get().version.number == 1
    with pytest.raises(Refused, match="no such template"):
        started(charlie, image, "vision-101", now)
    with pytest.raises(Refused, match="A job"):
        wish = Wish(image_id=image.pk, gpus=0, cpus=1, memory_gib=1, hours=1, command=("true",))
        template_start(owner=bob, slug="vision-101", wish=wish, now=now, actor=bob)
    assert Lab.objects.count() == Start.objects.count() == 1


def test_its_files_are_wanted_while_it_runs_and_told_once(make: Callable[..., Template], bob: User, image: Image, node: Node, now: datetime) -> None:
    make()
    lab = started(bob, image, "vision-101", now)
    assert starts_wanted(node_id="n1") == []
    _run(lab, now)
    (start,) = starts_wanted(node_id="n1")
    assert starts_wanted(node_id="n2") == []
    assert start_ready(start=start, opens="templates/vision-101-v1/first.ipynb", kept=False, missing=["coco@2017"], now=now)
    assert not start_ready(start=start, opens="", kept=True, missing=[], now=now)
    told = start_of(lab=lab)
    assert told is not None and told.opens_name == "first.ipynb"
    assert told.words.startswith("Its files are in templates/vision-101-v1. It reads data that is not on this node: coco@2017.")
    assert starts_wanted(node_id="n1") == []


def test_a_newer_version_says_where_the_older_one_is(make: Callable[..., Template], teacher: User, bob: User, image: Image, node: Node, now: datetime) -> None:
    made = make()
    for commit in (COMMIT, "f" * 40):
        if commit != COMMIT:
            template_renew(template=made, draft=replace(DRAFT, commit=commit), actor=teacher, now=now)
        _run(started(bob, image, "vision-101", now), now)
        start_ready(start=starts_wanted(node_id="n1")[0], opens="", kept=False, missing=[], now=now)
    assert Start.objects.get(version__number=2).words == (
        "Its files are in templates/vision-101-v2. What you have of version 1 stays in templates/vision-101-v1."
    )


def test_what_fails_is_tried_three_times_and_then_told(make: Callable[..., Template], bob: User, image: Image, node: Node, now: datetime) -> None:
    make()
    _run(started(bob, image, "vision-101", now), now)
    assert [start_failed(start=starts_wanted(node_id="n1")[0], words="No such host.", now=now) for _ in range(3)] == [False, False, True]
    assert starts_wanted(node_id="n1") == []
    assert (Start.objects.get().state, Start.objects.get().words) == ("failed", "No such host.")


def test_a_click_takes_what_the_person_may_have_and_the_newest_image_that_is_here(
    make: Callable[..., Template], bob: User, image: Image, node: Node, now: datetime
) -> None:
    newer = Image.objects.create(
        slug="newer", title="PyTorch 2.10", runtime="docker", repository="gpulab/pytorch-cuda", tag="newer", torch="2.10.0", cuda="13.0", created_at=now
    )
    make(draft=replace(DRAFT, needs=replace(DRAFT.needs, cpus=500, hours=500)))
    offer = _offer(bob)
    limits = limits_of(user=bob, now=now)
    assert (offer.image, offer.sizes.gpus, offer.sizes.cpus, offer.sizes.hours) == (image, 1, min(64, limits.cpus), limits.hours_max)
    Version.objects.update(cuda="12.9")
    assert _offer(bob).image == newer
    Version.objects.update(cuda="14.0")
    assert (_offer(bob).image, _offer(bob).refused) == (None, "No image that it can use is on offer.")
    Node.objects.update(runtime="")
    node.gpus.all().delete()
    assert _offer(bob).image is not None  # without a GPU, no CUDA is needed


def test_too_few_gpus_are_said_in_words() -> None:
    needs, room = replace(DRAFT.needs, gpus=2, least_gpus=2), Room(gpus=1, cpus=8, memory_gib=32)

    class Limits:
        gpus_max = 1

    assert short_of_gpus(needs, Limits, room) == "It needs 2 GPUs and your limit is 1 GPU."  # type: ignore[arg-type]
    Limits.gpus_max = 4
    assert short_of_gpus(needs, Limits, room) == "It needs 2 GPUs in one machine, and the house has 1 GPU."  # type: ignore[arg-type]
    assert short_of_gpus(replace(needs, least_gpus=0), Limits, room) == ""  # type: ignore[arg-type]


def test_names_and_paths_are_plain() -> None:
    assert slug_of("  Detecting Animals & Fields!  ") == "detecting-animals-fields"
    assert not url_wrong("https://git.example.edu:8443/group/repo.git")
    assert path_fits("lessons/01 first.ipynb") and not path_fits("a//b") and not path_fits("a/../b") and not path_fits("")


def _offer(user: User):  # type: ignore[no-untyped-def]
    limits = limits_of(user=user, now=Template.objects.get().made_at)
    return offers_of(versions=templates_for(user=user), images=Image.objects.all(), limits=limits, nodes=nodes_view())[0]


def _run(lab: Lab, now: datetime) -> None:
    assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[], now=now)
    assert lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=now)
