"""A wish: what a person asks for, made whole and checked before it becomes a lab."""

from dataclasses import dataclass, replace
from datetime import datetime

from django.utils import timezone

from labs.catalogue.models import Image
from labs.catalogue.queries import may_use
from labs.datasets.queries import data_unknown
from labs.datasets.rules import wanted_fault
from labs.fleet.queries import disks_full, image_failed_on_cpu, image_refused, image_unsafe, nodes_all
from labs.lifecycle.jobs import job_fault
from labs.lifecycle.occupancy import Nodes, nodes_view, unit_share
from labs.people.errors import Refused
from labs.people.models import User
from labs.policy.rules import Asked, Limits, Share, beyond_cap, more_needed
from labs.scheduler.fit import impossible
from labs.scheduler.snapshot import Waiting

#: Larger numbers are typing errors, and none may overflow a column.
MOST = 30_000


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks for. `shm_gib` None means half of the memory; an empty name is filled in.

    `may_borrow`: may take free cards beyond the guarantee, which can be taken back. `ask_first`: its owner is asked when its turn comes.
    `wants_slice`: one MIG slice of that profile ("any": of any) instead of a card. `requeue`: wait again when its cards were taken back.
    `command`: a program with its arguments, which makes it a job; `folder`: where that begins, below the workspace.
    `data`: data sets that must be where it runs; None leaves it to the template, if it begins with one.
    """

    image_id: int
    gpus: int
    cpus: int
    memory_gib: int
    hours: int
    shm_gib: int | None = None
    gpu_model: str = ""
    name: str = ""
    may_borrow: bool = True
    ask_first: bool = False
    wants_slice: str = ""
    requeue: bool = True
    command: tuple[str, ...] = ()
    folder: str = ""
    data: tuple[str, ...] | None = None


def wish_whole(*, wish: Wish, limits: Limits) -> Wish:
    """Fill in what was left open: shm as half of the memory within the limit, a model only where there are GPUs, one GPU for a slice."""
    shm = max(1, min(wish.memory_gib // 2, limits.shm_gib)) if wish.shm_gib is None else wish.shm_gib
    gpus = 1 if wish.wants_slice else wish.gpus
    return replace(wish, shm_gib=shm, gpus=gpus, gpu_model=wish.gpu_model if gpus else "", wants_slice=wish.wants_slice[:40])


def wish_check(
    *, owner: User, wish: Wish, image: Image, limits: Limits, shares: tuple[Share, ...] = (), now: datetime, on_node: str = "", nodes: Nodes = ()
) -> None:
    """Refuse what can never be: a size that is none, a limit passed by the wish alone, or a fleet (or its own node) that is too small.

    `nodes` are those of now, where they are at hand already.
    """
    shm = wish.shm_gib or 0
    if wish.gpus < 0 or min(wish.cpus, wish.memory_gib, shm, wish.hours) < 1 or max(wish.gpus, wish.cpus, wish.memory_gib, shm, wish.hours) > MOST:
        raise Refused("Sizes are whole numbers: at least 1 core, 1 GiB of memory, 1 GiB of shared memory and 1 hour; GPUs may be 0.")
    fault = job_fault(command=wish.command, folder=wish.folder)
    if fault:
        raise Refused(fault.words, field=fault.field)
    _data_check(owner, wish)
    nodes = nodes or nodes_view()
    waiting = replace(wish_waiting(owner=owner, wish=wish, image=image, now=now, nodes=nodes), on_node=on_node, placed=bool(on_node))
    reasons = beyond_cap(waiting.asked, limits, shares)
    if reasons:
        raise Refused(" ".join(reason.words for reason in reasons), field=reasons[0].field, code="over_limit", more=more_needed(reasons))
    never = impossible(waiting, nodes)
    if never:
        raise Refused(never, field="gpus" if "GPU" in never else "", code="impossible")
    hosts = nodes_all()
    unsafe = image_unsafe(image=image, nodes=hosts)
    if unsafe:
        raise Refused(f"It cannot start. {unsafe}", field="image", code="image_refused")
    refused = image_refused(image=image, nodes=hosts) if wish.gpus else image_failed_on_cpu(image=image)
    if refused:
        where = "on any card here" if wish.gpus else "here"
        raise Refused(f"{image} does not compute {where}. {refused}", field="image", code="image_refused")
    full = disks_full(runtime=image.runtime)
    if full:
        raise Refused(full, code="disk_full")


def _data_check(owner: User, wish: Wish) -> None:
    wanted = wish.data or ()
    fault = wanted_fault(wanted)
    if fault:
        raise Refused(fault, field="datasets")
    if unknown := data_unknown(user=owner, wanted=wanted):
        raise Refused(f"There is no data set {unknown} for you.", field="datasets")


def image_offered(*, image_id: int, owner: User, now: datetime) -> Image:
    """The image, if this person can start labs from it; refused otherwise."""
    image = Image.objects.filter(pk=image_id, is_active=True).first()
    if image is None or not may_use(image, owner):
        raise Refused("There is no such image.", field="image")
    if image.is_past(timezone.localdate(now)):
        raise Refused(f"{image} was offered until {image.deprecated_on}. Choose another image.", field="image", code="image_refused")
    if not image.is_fit:
        raise Refused(f"{image} cannot be a lab: {image.inside_words}.", field="image", code="image_refused")
    return image


def wish_waiting(*, owner: User, wish: Wish, image: Image, now: datetime, nodes: Nodes = ()) -> Waiting:
    """The wish as the scheduler sees it. `nodes` are those of now, where they are at hand already."""
    share = unit_share(wish.wants_slice, nodes or nodes_view()) if wish.wants_slice else 1.0
    memory, shm = wish.memory_gib * 1024, (wish.shm_gib or 0) * 1024
    asked = Asked(gpus=wish.gpus, cpus=wish.cpus, memory_mib=memory, shm_mib=shm, hours=wish.hours, gpu_share=share)
    return Waiting(
        lab_id="",
        owner_id=owner.pk,
        since=now,
        asked=asked,
        gpu_model=wish.gpu_model,
        image_id=image.pk,
        image_runtime=image.runtime,
        may_borrow=wish.may_borrow,
        wants_slice=wish.wants_slice,
        data=wish.data or (),
    )


def class_limits(*, wish: Wish, limits: Limits) -> Limits:
    """A class gives what it gives: the person's own limits do not bind it, nor does it widen them."""
    shm = max(wish.memory_gib // 2, 1) if wish.shm_gib is None else wish.shm_gib
    gpus = max(wish.gpus, 0)
    return replace(limits, gpus=gpus, gpus_max=gpus, labs=1, cpus=wish.cpus, memory_gib=wish.memory_gib, shm_gib=shm, hours_max=wish.hours, later=(), wider=())
