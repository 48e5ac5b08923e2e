"""A house in which everything that a path can name belongs to alice, and six people who try every door of it."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.test import Client
from django.utils import timezone

from labs.announcements.services import announcement_make
from labs.catalogue.models import Image
from labs.datasets.models import DataSet
from labs.fleet.models import Gpu, Node, NodeImage
from labs.jobs.services import trigger_create
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign, lab_ready
from labs.lifecycle.services import lab_request, lab_token_create
from labs.lifecycle.wishes import Wish
from labs.making.models import Making
from labs.people.models import Group, User
from labs.people.services import group_create, invitation_create, person_create, person_groups_set, reset_link_create, ssh_key_add, token_create
from labs.policy.asking import request_create
from labs.policy.models import RoleLimits
from labs.policy.services import group_limits_set, override_set, window_add
from labs.quarantine.models import Stray
from labs.sharing.services import share_create
from labs.snapshots.models import Snapshot
from labs.starters.rules import Needs
from labs.starters.services import Draft, template_make
from labs.timetable.rules import Hours
from labs.timetable.services import maintenance_create, reservation_create
from labs.timetable.wishes import ClassWish
from labs.webhooks.services import hook_create
from tests.security.passkeys import passkey
from tests.support.callers import Caller

#: Who tries. The owner is alice; bob and the teacher are of her team, charlie is of none.
CALLERS = ("nobody", "other person", "same team", "teacher", "administrator", "owner")
NAMES = {"other person": "charlie", "same team": "bob", "teacher": "tina", "administrator": "root", "owner": "alice"}
ROLES = {"charlie": "researcher", "bob": "student", "tina": "teacher", "root": "administrator", "alice": "researcher"}
PASSWORD = "correct-horse-battery-9"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9Mz1rUzI0bAPTv1sKCPAbH+ZDXbCnZ5MTnXE9qsHHy alice@laptop"


@dataclass(frozen=True, slots=True)
class World:
    """Who is in it, their browsers and API clients, and what stands for each part of a path."""

    people: dict[str, User]
    browsers: dict[str, Client]
    callers: dict[str, Caller]
    values: dict[str, str]

    def values_for(self, route: str) -> dict[str, str]:
        """The parts of this path: an account's token and a lab's are two things of one name."""
        return self.values | ({"token_id": self.values["api_token_id"]} if route.startswith(("account/", "api/v1/me/")) else {})


def world_make(*, now: datetime) -> World:
    """Make it, in whatever transaction is open."""
    for each, limits in settings.DEFAULTS["roles"].items():
        RoleLimits.objects.get_or_create(role=each, defaults=limits)
    people = {name: _person(name, role, now) for name, role in ROLES.items()}
    root, alice = people["root"], people["alice"]
    university = group_create(kind="organisation", name="University", slug="university", parent=None, actor=root, now=now)
    team = group_create(kind="team", name="Vision", slug="vision", parent=university, actor=root, now=now)
    for name in ("alice", "bob", "tina"):
        person_groups_set(user=people[name], groups=[team], actor=root, now=now)
    token, secret = token_create(user=alice, name="script", scope="launch", now=now)
    secrets = {"alice": secret} | {name: _token(user, now) for name, user in people.items() if name != "alice"}
    uid, key = reset_link_create(user=alice, actor=root, now=now)
    values = _machine(alice, now) | _timetable(root, team, now) | _records(root, alice, team, now)
    values |= {
        "api_token_id": str(token.pk),
        "person_id": str(alice.pk),
        "slug": _template(people["tina"], team, now),
        "group_id": str(team.pk),
        "snapshot_id": str(Snapshot.objects.create(owner=alice, node_id="n1", why="asked", state="ready", asked_at=now).pk),
        "data_set_id": str(DataSet.objects.create(name="flowers", version="1", backend="folder", source="/srv/flowers", registered_at=now).pk),
        "uidb36": uid,
        "key": key,
        "name": "gpulab-0.1.0-py3-none-any.whl",
    }
    browsers = {caller: Client() for caller in CALLERS}
    for caller, name in NAMES.items():
        _sign_in(browsers[caller], people[name])
    values |= _of_browser(alice) | {"provider_id": "campus"}
    return World(people, browsers, {caller: Caller(secrets.get(NAMES.get(caller, ""), "")) for caller in CALLERS}, values)


def _person(name: str, role: str, now: datetime) -> User:
    return person_create(email=f"{name}@example.edu", display_name=name.capitalize(), role=role, group=None, actor=None, now=now, password=PASSWORD)


def _sign_in(browser: Client, user: User) -> None:
    """As a person does, and once more for what asks for the password again."""
    assert browser.post("/accounts/login/", {"login": user.email, "password": PASSWORD}).status_code == 302
    assert browser.post("/accounts/reauthenticate/", {"password": PASSWORD}).status_code == 302


def _of_browser(alice: User) -> dict[str, str]:
    """Her session, and a passkey."""
    key = Authenticator.objects.create(user=alice, type="webauthn", data={"name": "laptop", "credential": passkey()})
    return {"session_id": str(UserSession.objects.get(user=alice).pk), "pk": str(key.pk)}


def _token(user: User, now: datetime) -> str:
    return token_create(user=user, name="script", scope="admin" if user.is_administrator else "launch", now=now)[1]


def _machine(alice: User, now: datetime) -> dict[str, str]:
    """A node with a card, an image and alice's running lab with a token."""
    image = Image.objects.create(
        slug="pytorch", title="PyTorch 2.9", runtime="docker", repository="gpulab/pytorch-cuda", tag="test", cuda="12.8", created_at=now
    )
    node = Node.objects.create(
        pk="n1", name="n1", runtime="docker", cpus=64, memory_mib=524288, heartbeat_at=now, gpu_ready=True, probe_kind="nvml", driver="580.65.06", cuda="13.0"
    )
    for index in range(4):
        card = Gpu.objects.create(uuid=f"GPU-0000000{index}-test", node=node, index=index, model="NVIDIA H200", memory_mib=143771, compute_capability="9.0")
    NodeImage.objects.create(node=node, image=image, state="present", percent=100, updated_at=now)
    lab = lab_request(owner=alice, wish=Wish(image_id=image.pk, gpus=0, cpus=2, memory_gib=4, hours=2, name="first"), now=now, actor=alice)
    assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[], now=now)
    assert lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=now)
    own = Image.objects.create(slug="own", title="Own", runtime="docker", repository="gpulab/made", tag="1", cuda="12.8", created_at=now, made_by=alice)
    coming = Making.objects.create(kind="saved", owner=alice, name="Coming", base=image, lab=lab, node=node, most_bytes=1, asked_at=now)
    token, _ = lab_token_create(lab=Lab.objects.get(pk=lab.pk), name="client", actor=alice, now=now)
    running = Lab.objects.select_related("owner", "node").get(pk=lab.pk)
    shared = share_create(lab=running, port=8080, name="Demo", hours=8, email="bob@example.edu", actor=alice, now=now)
    job = Wish(image_id=image.pk, gpus=0, cpus=2, memory_gib=4, hours=2, command=("true",))
    trigger, _ = trigger_create(owner=alice, name="nightly", wish=job, kind="schedule", cron="0 3 * * 1", now=now)
    hook, _ = hook_create(owner=alice, name="book", url="https://hooks.example.org/x", events=["lab.running"], everyone=False, now=now)
    stray = Stray.objects.create(node=node, name="gpulab-gone-1", first_seen_at=now, remove_at=now + timedelta(minutes=10))
    return {
        "lab_id": lab.pk,
        "token_id": str(token.pk),
        "node_id": "n1",
        "uuid": card.uuid,
        "image_id": str(image.pk),
        "own_id": str(own.pk),
        "making_id": coming.pk,
        "stray_id": str(stray.pk),
        "port": str(shared.port),
        "share_id": str(shared.pk),
        "trigger_id": str(trigger.pk),
        "hook_id": str(hook.pk),
    }


def _template(teacher: User, team: Group, now: datetime) -> str:
    """A template of the team's."""
    needs = Needs(gpus=0, least_gpus=0, cpus=2, memory_gib=4, hours=2)
    draft = Draft(needs, first="first.ipynb", url="https://git.example.edu/vision.git", commit="0" * 40)
    return template_make(title="Vision 101", summary="Lesson one.", minutes=20, group=team, draft=draft, actor=teacher, now=now).slug


def _timetable(root: User, team: Group, now: datetime) -> dict[str, str]:
    """A class of alice's team next week, reserved by an administrator, and maintenance."""
    today = timezone.localdate()
    monday = today + timedelta(days=7 - today.weekday())
    spell = Hours((1, 3), time(10), time(12), monday, monday + timedelta(weeks=2))
    wish = ClassWish("Seminar", team, (), Image.objects.get(slug="pytorch"), "prepared", "card", 1, "", None, 1, 4, 16, 15, spell)
    series = reservation_create(wish=wish, actor=root, now=now)
    start = now + timedelta(days=30)
    closed = maintenance_create(
        node=Node.objects.get(), starts_at=start, ends_at=start + timedelta(hours=1), words="New disks.", ends_labs=True, actor=root, now=now
    )
    return {"reservation_id": str(series.pk), "meeting_id": str(series.meetings.all()[0].pk), "maintenance_id": str(closed.pk)}


def _records(root: User, alice: User, team: Group, now: datetime) -> dict[str, str]:
    """Alice's key and request, an exception and a window of limits, an open invitation."""
    asked = request_create(user=alice, asked={"hours_max": 100}, until=now + timedelta(days=14), why="The last chapter needs it.", now=now)
    override = override_set(user=alice, values={"memory_gib": 256}, until=None, note="Thesis", actor=root, now=now)
    group_limits_set(group=team, values={"gpus": 4}, actor=root, now=now)
    window = window_add(
        values={"name": "nights", "limit": "gpus_max", "times": 2, "start": time(20), "end": time(7), "role": "researcher"}, actor=root, now=now
    )
    invitation, secret = invitation_create(email="ivy@example.edu", role="student", group=None, actor=root, now=now)
    said = announcement_make(words="A new switch.", until=now + timedelta(days=1), actor=root, now=now)
    key = ssh_key_add(user=alice, name="laptop", text=KEY, now=now)
    return {
        "request_id": str(asked.pk),
        "override_id": str(override.pk),
        "window_id": str(window.pk),
        "invitation_id": str(invitation.pk),
        "secret": secret,
        "key_id": str(key.pk),
        "announcement_id": str(said.pk),
    }
