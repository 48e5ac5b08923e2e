"""Asking for images, what their nodes say of them, and putting them into the catalogue; sharing and deleting them."""

from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Value
from django.db.models.functions import Concat, Right
from django.utils.text import slugify

from labs.bus.bus import publish
from labs.bus.doorbell import node_queue, ring
from labs.catalogue.models import Image
from labs.catalogue.services import image_add
from labs.fleet.models import Node, NodeImage
from labs.fleet.services import node_image_set
from labs.ledger.services import Actor, event_record
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.lifecycle.services import lab_request, lab_stop
from labs.lifecycle.wishes import Wish
from labs.making.models import Making
from labs.making.queries import GIB, room_of, teams_of
from labs.making.rules import from_environment, name_wrong, text_wrong
from labs.people.errors import Refused
from labs.people.models import Group, User
from labs.people.queries import person_held
from labs.trials.queries import image_in_use

#: What the lab of a build asks for.
CPUS, MEMORY_GIB = 2, 4
#: Layers of people on top of each other: an engine takes 127 in all.
MOST_DEEP = 20
LOG_KEPT = 30_000
NOTE_MOST = 500
#: Dockerfiles are administrators', who mind the disk themselves.
MOST_BY_DOCKERFILE = 1024**4


def making_save(*, lab: Lab, name: str, note: str, actor: User, now: datetime) -> Making:
    """Save what was installed in a running lab as an image of its owner's. Refused in words: no container, no room, a name that is taken."""
    if lab.state != states.RUNNING or lab.node is None:
        raise Refused(f"{lab.name} does not run: start it, then save it.", code="state")
    if lab.is_job:
        raise Refused("A job is not saved: start a lab with its image, and save that.")
    return _ask(Making.Kind.SAVED, lab.owner, name, note, base=lab.image, lab=lab, attempt=lab.attempt, node=lab.node, actor=actor, now=now)


def making_build(*, base: Image, name: str, note: str, requirements: str, environment: str, actor: User, now: datetime) -> Making:
    """Build an image from a list of packages on top of `base`, in a lab of the person's own, which waits its turn as any other."""
    text, field = (requirements, "requirements") if requirements.strip() or not environment.strip() else (environment, "environment")
    wrong = text_wrong(text)
    if not wrong and field == "environment":
        told = from_environment(text)
        text, wrong = told.requirements, told.words
    if wrong:
        raise Refused(wrong, field=field)
    with transaction.atomic():
        making = _ask(Making.Kind.BUILT, actor, name, note, base=base, lab=None, attempt=0, node=None, actor=actor, now=now, text=text)
        hours = max(1, -(-settings.IMAGE_BUILD_MIN // 60))
        wish = Wish(image_id=base.pk, gpus=0, cpus=CPUS, memory_gib=MEMORY_GIB, hours=hours, name=f"build-{making.pk}", requeue=False)
        lab = lab_request(owner=actor, wish=wish, now=now, actor=actor)
        Making.objects.filter(pk=making.pk).update(lab=lab)
        making.lab = lab
    return making


def making_dockerfile(*, node: Node, name: str, text: str, actor: User, now: datetime) -> Making:
    """Build an image from a Dockerfile on a node's engine, as root there: for administrators."""
    if not actor.is_administrator:
        raise Refused("Dockerfiles are built by administrators only: an engine runs them as root.")
    if not text.strip().upper().partition("FROM ")[1]:
        raise Refused("A Dockerfile begins with FROM.", field="text")
    if wrong := name_wrong(name):
        raise Refused(wrong, field="name")
    return _create(Making.Kind.DOCKERFILE, actor, name, "", MOST_BY_DOCKERFILE, actor, now, node=node, text=text.replace("\r\n", "\n"))


def _ask(
    kind: str, owner: User, name: str, note: str, *, base: Image, lab: Lab | None, attempt: int, node: Node | None, actor: User, now: datetime, text: str = ""
) -> Making:
    if wrong := name_wrong(name):
        raise Refused(wrong, field="name")
    if len(note) > NOTE_MOST:
        raise Refused(f"A note has at most {NOTE_MOST} characters.", field="note")
    if base.runtime != Image.Runtime.DOCKER or not base.digest:
        raise Refused("Its labs are no containers, so there is nothing to lay a layer on." if base.digest else "No node holds that image yet.", field="base")
    if _deep(base) >= MOST_DEEP:
        raise Refused(f"There are {MOST_DEEP} layers of people on each other already: build from a list of packages on the first image instead.")
    with person_held(user=owner):
        left = _room_check(owner)
        if Image.objects.filter(made_by=owner, title=name, is_active=True).exists():
            raise Refused(f"You have an image {name!r} already. Choose another name, or delete it first.", field="name")
        return _create(kind, owner, name, note, left, actor, now, base=base, lab=lab, attempt=attempt, node=node, text=text)


def _room_check(owner: User) -> int:
    """Bytes that are left. Refused when there is no room for one more."""
    room = room_of(user=owner)
    if room.images >= room.most_images:
        raise Refused(f"You have {room.images} of {room.most_images} images. Delete one that you do not need any more.", code="over_limit")
    if not room.left:
        raise Refused(f"Your images hold {room.held_gib:g} of {room.most_gib} GiB. Delete one that you do not need any more.", code="over_limit")
    return room.left


def _deep(image: Image) -> int:
    depth, seen = 0, image
    while seen.made_by_id is not None and seen.made_from is not None and depth < MOST_DEEP:
        depth, seen = depth + 1, seen.made_from
    return depth


def _create(kind: str, owner: User, name: str, note: str, most: int, actor: User, now: datetime, **columns: object) -> Making:
    try:
        with transaction.atomic():
            making = Making.objects.create(kind=kind, owner=owner, name=name, note=note, most_bytes=most, asked_at=now, **columns)
            _event(making, f"Image {name!r} was asked for: {making.get_kind_display().lower()}.", actor, now)
            _announce(making)
            if making.node_id:
                ring("worker.making", queue=node_queue(making.node_id))
    except IntegrityError as error:
        raise Refused(f"An image {name!r} of yours is being made already.", field="name") from error
    return making


def making_cancel(*, making: Making, actor: User, now: datetime) -> bool:
    """Make it no further; the lab of a build ends with it. False when it had come to an end before."""
    with transaction.atomic():
        if not _end(making, (Making.State.ASKED, Making.State.WORKING), Making.State.CANCELLED, f"Cancelled by {actor}.", actor, now):
            return False
        if making.kind == Making.Kind.BUILT and making.lab and making.lab.is_live:
            lab_stop(lab=making.lab, actor=actor, now=now)
    return True


def making_place(*, making: Making, now: datetime) -> None:
    """The house's look at one that waits: its lab was placed, or has ended."""
    lab = making.lab
    if lab is None or lab.state in states.FINAL:
        words = f"Its lab ended. {lab.end.words}" if lab and lab.end else "Its lab is gone."
        _end(making, (Making.State.ASKED,), Making.State.FAILED, words, None, now)
    elif lab.node_id and (making.node_id, making.attempt) != (lab.node_id, lab.attempt) and making.kind == Making.Kind.BUILT:
        Making.objects.filter(pk=making.pk, state=Making.State.ASKED).update(node=lab.node, attempt=lab.attempt)


def making_begin(*, making: Making, now: datetime) -> bool:
    """Its node is at it from now on, and at no other; False where it is not wanted any more, or another is under way."""
    try:
        with transaction.atomic():
            begun = Making.objects.filter(pk=making.pk, state__in=(Making.State.ASKED, Making.State.WORKING))
            count = begun.update(state=Making.State.WORKING, began_at=now, percent=0, words="Beginning", log="")
            _announce(making)
    except IntegrityError:
        return False
    return bool(count)


def making_told(*, making: Making, percent: int, words: str, log: str = "") -> bool:
    """How far it is, and what was said since; False when nobody wants it any more."""
    with transaction.atomic():
        row = Making.objects.filter(pk=making.pk, state=Making.State.WORKING)
        columns: dict[str, object] = {"percent": percent, "words": words[:2000]}
        if log:
            columns["log"] = Right(Concat("log", Value(log.replace("\0", ""))), LOG_KEPT)
        wanted = bool(row.update(**columns))
        if wanted:
            _announce(making)
    return wanted


def making_made(*, making: Making, repository: str, tag: str, digest: str, pulled: bool, sizes: tuple[int, int], words: str, now: datetime) -> bool:
    """The node's word that it is there; `sizes` are bytes before and after."""
    columns = {"repository": repository, "tag": tag, "digest": digest, "pulled": pulled, "size_before": sizes[0], "size_after": sizes[1]}
    with transaction.atomic():
        rows = Making.objects.filter(pk=making.pk, state=Making.State.WORKING)
        made = bool(rows.update(state=Making.State.MADE, percent=100, words=words[:2000], **columns))
        _announce(making)
    return made


def making_failed(*, making: Making, words: str, now: datetime) -> bool:
    """The node's word that it could not be made."""
    return _end(making, (Making.State.ASKED, Making.State.WORKING), Making.State.FAILED, words, None, now)


def making_catalogue(*, making: Making, now: datetime) -> Image | None:
    """Put what was made into the catalogue; None when that was done, or its name or its room was taken meanwhile."""
    dockerfile = making.kind == Making.Kind.DOCKERFILE
    try:
        with person_held(user=making.owner):  # of two that are done at once, the second counts the first
            if not Making.objects.select_for_update(of=("self",)).filter(pk=making.pk, state=Making.State.MADE).exists():
                return None
            too_large = "" if dockerfile else _too_large(making)
            image = _image(making, None if dockerfile else making.owner, now)
            node_id = str(making.node_id)
            node_image_set(node_id=node_id, image_id=image.pk, state=NodeImage.State.PRESENT, percent=100, words="", now=now)
            if too_large:  # its layer lies on the node already: let go like that of any other that is deleted
                Image.objects.filter(pk=image.pk).update(is_active=False)
                _end(making, (Making.State.MADE,), Making.State.FAILED, too_large, None, now)
                ring("worker.shelf", queue=node_queue(node_id))
                return None
            Making.objects.filter(pk=making.pk).update(image=image, state=Making.State.DONE, ended_at=now)
            ring("worker.image_prepare", queue=node_queue(node_id), node_id=node_id, image_id=image.pk)
            _announce(making)
    except IntegrityError:
        _end(making, (Making.State.MADE,), Making.State.FAILED, "There is an image of that name meanwhile.", None, now)
        return None
    return image


def _too_large(making: Making) -> str:
    """Why there is no room for what was made, now that others of the person's may be done; empty where there is."""
    room, size = room_of(user=making.owner), making.size_after - making.size_before
    if size <= room.left:
        return ""
    return f"It has {size / GIB:.2f} GiB, and your other images hold {room.held_gib:g} of {room.most_gib} GiB meanwhile. Delete one, and make it again."


def _image(making: Making, owner: User | None, now: datetime) -> Image:
    base = making.base
    image = image_add(
        slug=f"{slugify(making.name)[:60]}-{making.pk}",
        title=making.name,
        runtime=Image.Runtime.DOCKER,
        repository=making.repository,
        tag=making.tag,
        description=f"{making.get_kind_display()}{f' on {base}' if base else ''}.",
        actor=making.owner,
        now=now,
        made_by=owner,
        made_from=base,
        note=making.note,
        size_before=making.size_before,
        size_after=making.size_after,
        torch=base.torch if base else "",
        cuda=base.cuda if base else "",
        python=base.python if base else "",
        inside=(base.inside if base else {}) | {"size": making.size_after},
    )
    Image.objects.filter(pk=image.pk).update(digest=making.digest, pulled=making.pulled)
    return image


def image_share(*, image: Image, groups: Sequence[Group], actor: User, now: datetime) -> None:
    """Let everybody in these teams start labs from it; none: it is its maker's alone."""
    own = set(teams_of(user=image.made_by or actor).values_list("pk", flat=True))
    if {group.pk for group in groups} - own:
        raise Refused("You can share with your own teams and courses.", field="groups")
    with transaction.atomic():
        image.groups.set(groups)
        who = ", ".join(map(str, groups)) or "nobody else"
        event_record(kind="image.shared", subject=f"image:{image.pk}", words=f"Image {image} is shared with {who}.", actor=actor, now=now)


def image_delete(*, image: Image, actor: Actor, now: datetime) -> None:
    """Take a person's image away; nodes let its layer go. Refused while a lab, a class, a trial or another image in the making needs it."""
    with transaction.atomic():
        Image.objects.select_for_update(of=("self",)).get(pk=image.pk)
        if image_in_use(image_id=image.pk, now=now):
            raise Refused(f"{image} is in use: a lab or a class needs it. Stop those labs first.", code="state")
        if Making.objects.filter(base=image, state__in=Making.OPEN).exists():
            raise Refused(f"{image} is in use: another image is being made on it.", code="state")
        Image.objects.filter(pk=image.pk).update(is_active=False)
        event_record(kind="image.deleted", subject=f"image:{image.pk}", words=f"Image {image} was deleted.", actor=actor, now=now)
        for node_id in NodeImage.objects.filter(image=image).values_list("node_id", flat=True):
            ring("worker.shelf", queue=node_queue(node_id))
        if image.made_by_id:
            publish(f"person.{image.made_by_id}", "making")


def _end(making: Making, was: Sequence[str], state: str, words: str, actor: Actor | None, now: datetime) -> bool:
    with transaction.atomic():
        if not Making.objects.filter(pk=making.pk, state__in=was).update(state=state, words=words[:2000], ended_at=now):
            return False
        _event(making, f"Image {making.name!r}: {Making.State(state).label.lower()}. {words}", actor, now)
        _announce(making)
    return True


def _event(making: Making, words: str, actor: Actor | None, now: datetime) -> None:
    event_record(kind="image.making", subject=f"making:{making.pk}", words=words, actor=actor, now=now)


def _announce(making: Making) -> None:
    publish(f"person.{making.owner_id}", "making", making=making.pk)
