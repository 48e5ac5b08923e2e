"""Making templates and their versions, starting labs from them, and noting what came of their files."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from labs.bus.bus import publish
from labs.bus.doorbell import node_queue, ring
from labs.catalogue.models import Image
from labs.datasets.queries import shelves_for
from labs.fleet.models import Node
from labs.ledger.services import event_record
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_announce
from labs.lifecycle.services import lab_request
from labs.lifecycle.wishes import Wish
from labs.people.errors import Refused
from labs.people.models import Group, User
from labs.people.queries import groups_taught
from labs.starters.models import Bundle, Parcel, Start, Template, Version
from labs.starters.queries import data_of_template, may_make, templates_for
from labs.starters.rules import Needs, path_fits, slug_of, wrong

MOST_TRIES = 3
KEPT_FOR = timedelta(days=1)
#: Copies of folders that one person may have at once, each of up to 16 MiB.
MOST_PARCELS = 20
MOST_WORDS = 400


@dataclass(frozen=True, slots=True)
class Draft:
    """What a version is made of: a repository at a commit, files that GPU Lab ships (`digest`), or a copied folder (`parcel`).

    `looked`: its maker has seen what looks like a secret in the folder, and shares it all the same.
    """

    needs: Needs
    first: str = ""
    url: str = ""
    commit: str = ""
    digest: str = ""
    image: Image | None = None
    cuda: str = ""
    data: tuple[str, ...] = ()
    note: str = ""
    parcel: Parcel | None = None
    looked: bool = False


@dataclass(frozen=True, slots=True)
class Packed:
    """A folder as the worker copied it: the files as a zip, their names and bytes, what looks like a secret, and what was left out."""

    content: bytes = field(repr=False)
    files: list[str]
    size: int
    digest: str
    warnings: list[str]
    words: str = ""


@dataclass(frozen=True, slots=True)
class Shipped:
    """A template as it lies in the house's own folder."""

    slug: str
    title: str
    summary: str
    minutes: int
    draft: Draft = field(repr=False)


def template_make(*, title: str, summary: str, minutes: int, group: Group | None, draft: Draft, actor: User, now: datetime) -> Template:
    """A new template with its first version. Refused to whom it is not given, and when it can be none."""
    right_check(actor=actor, group=group)
    title, summary, slug = " ".join(title.split()), " ".join(summary.split()), slug_of(title)
    if not summary:
        raise Refused("Say in a sentence what it is for.", field="summary")
    draft = _draft_checked(slug, draft, actor)
    try:
        with transaction.atomic():
            made = Template.objects.create(slug=slug, title=title, summary=summary, minutes=minutes, group=group, made_by=actor, made_at=now)
            _version_make(made, draft, actor, now)
            event_record(kind="template.made", subject=made.subject, words=f"Template {made} made for {made.audience}.", actor=actor, now=now)
    except IntegrityError as error:
        raise Refused(f"There is a template in the folder {slug} already. Choose another title.", field="title", code="name_taken") from error
    return made


def template_renew(*, template: Template, draft: Draft, actor: User, now: datetime) -> Version:
    """A new version. Labs started from now on get it, in a folder of its own; what people have of earlier ones stays. Refused where nothing is new."""
    right_check(actor=actor, group=template.group)
    if template.shipped:
        raise Refused("It comes with GPU Lab, and changes with it. Make a template of your own instead.")
    draft = _draft_checked(template.slug, draft, actor)
    with transaction.atomic():
        row = Template.objects.select_for_update(of=("self",)).get(pk=template.pk)
        last = row.versions.select_related("image").first()
        if last and _same(last, draft):
            raise Refused("That is the version that there is already.", field="" if draft.parcel else "commit")
        made = _version_make(row, draft, actor, now)
        event_record(kind="template.renewed", subject=row.subject, words=f"{row} has version {made.number} now.", actor=actor, now=now)
    return made


def template_retire(*, template: Template, retired: bool, actor: User, now: datetime) -> bool:
    """Offer it no more, or again; what was started from it stays. False when it was so already."""
    right_check(actor=actor, group=template.group)
    with transaction.atomic():
        if not Template.objects.filter(pk=template.pk, retired_at__isnull=retired).update(retired_at=now if retired else None):
            return False
        words = f"Template {template} is {'retired' if retired else 'offered again'}."
        event_record(kind="template.retired" if retired else "template.returned", subject=template.subject, words=words, actor=actor, now=now)
    return True


def templates_ship(*, found: Iterable[Shipped], now: datetime) -> int:
    """The worker's fact: what lies in the house's own folder. New files are a new version. How many templates or versions are new."""
    return sum(_ship(one, now) for one in found)


def _ship(one: Shipped, now: datetime) -> bool:
    with transaction.atomic():
        words = {"title": one.title, "summary": one.summary, "minutes": one.minutes}
        Template.objects.get_or_create(slug=one.slug, defaults=words | {"shipped": True, "made_at": now})
        row = Template.objects.select_for_update(of=("self",)).get(slug=one.slug)
        if not row.shipped:  # somebody was there first, with that name
            return False
        Template.objects.filter(pk=row.pk).update(**words)
        last = row.versions.first()
        if last and _same(last, replace(one.draft, note=last.note)):
            return False
        made = _version_make(row, one.draft, None, now)
        event_record(kind="template.shipped", subject=row.subject, words=f"{row} has version {made.number} now.", actor=None, now=now)
    return True


def template_start(*, owner: User, slug: str, wish: Wish, now: datetime, actor: User, idempotency_key: str = "") -> Lab:
    """A lab with the newest version's files, in one step. The same key makes one lab. Refused as any wish is, and for what is not offered to its owner."""
    if wish.command:
        raise Refused("A job starts a program of yours, not a template.", field="template")
    version = templates_for(user=owner).filter(template__slug=slug).first()
    if version is None:
        raise Refused("There is no such template, or not any more.", field="template")
    if wish.data is None:
        wish = replace(wish, data=data_of_template(version=version, shelves=shelves_for(user=owner) if version.data else ()))
    with transaction.atomic():
        lab = lab_request(owner=owner, wish=wish, now=now, actor=actor, idempotency_key=idempotency_key)
        made = lab.requested_at == now and Start.objects.get_or_create(lab=lab, defaults={"version": version, "asked_at": now, "state_since": now})[1]
        if made:
            event_record(kind="lab.template", subject=lab.subject, words=f"It begins with the template {version}.", actor=actor, now=now, template=slug)
    return lab


def start_ready(*, start: Start, opens: str, kept: bool, missing: Iterable[str], now: datetime) -> bool:
    """The worker's fact: the files are there. `kept`: they were there already; `missing`: data sets that are not. False when it was told before."""
    version = start.version
    words = [f"Its folder was there already and is as you left it: {version.folder}." if kept else f"Its files are in {version.folder}."]
    if not kept and (before := _before(start)):
        words.append(f"What you have of version {before.number} stays in {before.folder}.")
    if lacking := ", ".join(missing):
        words.append(f"It reads data that is not on this node: {lacking}. Ask for it, or use data of your own.")
    return _told(start, Start.State.READY, " ".join(words), now, opens=opens)


def start_failed(*, start: Start, words: str, now: datetime) -> bool:
    """The worker's fact: it did not work. Tried again a few times, then told to its owner. True when that was the last try."""
    Start.objects.filter(pk=start.pk, state=Start.State.WANTED).update(tries=start.tries + 1)
    if start.tries + 1 < MOST_TRIES:
        return False
    return _told(start, Start.State.FAILED, words, now)


def right_check(*, actor: User, group: Group | None) -> None:
    """Administrators make templates for everybody, teachers for the courses and teams that they are in."""
    if actor.is_administrator:
        return
    taught = {one.pk for one in groups_taught(user=actor)}
    if not taught:
        raise Refused("Teachers and administrators make templates.", code="role")
    if group is None or group.pk not in taught:
        raise Refused("You make templates for the courses and teams that you are in. Choose one of them.", field="group", code="role")


def parcel_ask(*, owner: User, node: Node, folder: str, now: datetime) -> Parcel:
    """Have a folder of one's own workspace copied, to make a template of it. Asked twice while it is copied, it is one. Refused to who makes no templates."""
    if not may_make(user=owner):
        raise Refused("Teachers and administrators make templates.", code="role")
    folder = folder.strip().removeprefix("/workspace/").strip("/")
    if not path_fits(folder):
        raise Refused("Name a folder below /workspace, such as lessons/vision. Hidden folders are not copied.", field="folder")
    facts = {"asked_at": now, "state_since": now}
    with transaction.atomic():
        User.objects.select_for_update().get(pk=owner.pk)  # of two clicks one after the other
        _parcel_room_check(owner, node, folder)
        made, is_new = Parcel.objects.get_or_create(owner=owner, node=node, folder=folder, state=Parcel.State.ASKED, defaults=facts)
        if is_new:
            words = f"{owner} has {made} copied for a template."
            event_record(kind="template.folder", subject=f"person:{owner.pk}", words=words, actor=owner, now=now, node=node.pk)
        ring("worker.starters", queue=node_queue(node.pk))
    return made


def _parcel_room_check(owner: User, node: Node, folder: str) -> None:
    mine = Parcel.objects.filter(owner=owner).exclude(state=Parcel.State.FAILED)
    if mine.count() >= MOST_PARCELS and not mine.filter(node=node, folder=folder, state=Parcel.State.ASKED).exists():
        raise Refused(f"You have {MOST_PARCELS} copies of folders, which is the most. Use one of them; each goes a day after it was made.", field="folder")


def parcel_ready(*, parcel: Parcel, packed: Packed, now: datetime) -> bool:
    """The worker's fact: the folder is copied. False when it was told before."""
    facts = {name: getattr(packed, name) for name in ("content", "files", "size", "digest", "warnings", "words")}
    return _parcel_told(parcel, facts | {"state": Parcel.State.READY}, now)


def parcel_failed(*, parcel: Parcel, words: str, now: datetime) -> bool:
    """The worker's fact: it could not be copied, and why."""
    return _parcel_told(parcel, {"state": Parcel.State.FAILED, "words": words[:MOST_WORDS]}, now)


def parcels_forget(*, now: datetime) -> int:
    """Let go of copies that are a day old: versions have their own. How many."""
    return Parcel.objects.filter(asked_at__lt=now - KEPT_FOR).delete()[0]


def _parcel_told(parcel: Parcel, facts: dict[str, object], now: datetime) -> bool:
    with transaction.atomic():
        if not Parcel.objects.filter(pk=parcel.pk, state=Parcel.State.ASKED).update(**facts, state_since=now):
            return False
        publish(f"person.{parcel.owner_id}", "parcel")
    return True


def _draft_checked(slug: str, draft: Draft, actor: User) -> Draft:
    parcel = draft.parcel
    if parcel is not None:
        if parcel.owner_id != actor.pk or parcel.state != Parcel.State.READY:
            raise Refused("That copy is not there any more. Have the folder copied again.")
        if parcel.warnings and not draft.looked:
            raise Refused("Look at what was found in the folder, and take it out or say that it may be shared.", field="looked")
        if draft.first and draft.first not in parcel.files:
            raise Refused(f"There is no {draft.first} in the folder.", field="first")
        draft = replace(draft, digest=parcel.digest)
    elif not draft.url and not draft.digest:
        raise Refused("Name the repository with its files.", field="url")
    fault = wrong(slug=slug, url=draft.url, commit=draft.commit, first=draft.first, data=draft.data, needs=draft.needs)
    if fault:
        raise Refused(fault.words, field=fault.field)
    return draft


def _version_make(template: Template, draft: Draft, actor: User | None, now: datetime) -> Version:
    last = template.versions.first()
    number = last.number + 1 if last else 1
    home = {"home_node": draft.parcel.node_id, "home_folder": draft.parcel.folder} if draft.parcel else {}
    made = Version.objects.create(template=template, number=number, made_by=actor, made_at=now, note=draft.note[:200], **home, **_columns(draft))
    if draft.parcel:
        Bundle.objects.create(version=made, content=bytes(draft.parcel.content or b""))
    return made


def _columns(draft: Draft) -> dict[str, object]:
    needs = draft.needs
    sizes = {name: getattr(needs, name) for name in ("gpus", "least_gpus", "cpus", "memory_gib", "shm_gib", "hours")}
    source = {name: getattr(draft, name) for name in ("url", "commit", "digest", "first", "image", "cuda")}
    return sizes | source | {"data": list(draft.data)}


def _same(version: Version, draft: Draft) -> bool:
    return all(getattr(version, name) == value for name, value in _columns(draft).items())


def _before(start: Start) -> Version | None:
    """The last earlier version that the owner has the files of."""
    earlier = Start.objects.select_related("version__template").filter(lab__owner=start.lab.owner_id, state=Start.State.READY)
    row = earlier.filter(version__template=start.version.template_id, version__number__lt=start.version.number).order_by("-version__number").first()
    return row.version if row else None


def _told(start: Start, state: str, words: str, now: datetime, opens: str = "") -> bool:
    with transaction.atomic():
        news = {"state": state, "words": words[:MOST_WORDS], "opens": opens, "state_since": now}
        if not Start.objects.filter(pk=start.pk, state=Start.State.WANTED).update(**news):
            return False
        event_record(kind=f"template.{state}", subject=start.lab.subject, words=f"{start.version}: {words}"[:MOST_WORDS], actor=None, now=now)
        lab_announce(lab=start.lab)
    return True
