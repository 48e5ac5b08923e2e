"""Which folders stand beside a lab's workspace: from the record, and from what its node allows. Never from what people wrote."""

from collections.abc import Container
from dataclasses import replace
from pathlib import Path

from django.conf import settings

from labs.datasets.models import DataSet
from labs.datasets.queries import data_seen
from labs.datasets.rules import NFS, S3, VOLUME
from labs.people.models import Group, User
from worker.runtimes import mounts
from worker.runtimes.base import Check, RuntimeFault
from worker.runtimes.mounts import Mount


def teams_of(*, owner: User) -> tuple[tuple[int, str], ...]:
    """Number and short name of each team that the person is a member of."""
    rows = Group.objects.filter(kind=Group.Kind.TEAM, memberships__user=owner).order_by("pk")
    return tuple((group.pk, group.slug) for group in rows)


def data_of(*, owner: User, node_id: str, realm: str, wanted: Container[str] = ()) -> tuple[Mount, ...]:
    """The data sets that the person's labs see on the node, those that this lab asks for marked; one whose folder left its place meanwhile is left out."""
    found = []
    for target, one in data_seen(user=owner, node_id=node_id).items():
        try:
            found.append(replace(data_mount(one, target=target, realm=realm), needed=target.removeprefix(f"{mounts.DATA}/") in wanted))
        except RuntimeFault:
            continue
    return tuple(found)


def data_mount(one: DataSet, *, target: str, realm: str) -> Mount:
    """How this node mounts it. RuntimeFault, in words, where its folder is not one that this node gives away."""
    if one.backend == VOLUME:
        return Mount(target, mounts.VOLUME, one.source)
    if one.backend == NFS:
        return Mount(target, mounts.NFS, f"gpulab-{realm}-data-{one.pk}", remote=one.source)
    return Mount(target, mounts.FOLDER, str(copy_folder(one) if one.backend == S3 else _allowed(Path(one.source))))


def models_of(*, isolates: bool) -> tuple[str, str]:
    """The node's models, as its own settings name them ("" for none), and what is wrong with that name; only an engine (`isolates`) has volumes."""
    named = str(settings.MODELS)
    if not named:
        return "", ""
    if not mounts.models_sound(named):
        return "", f"GPULAB_MODELS is {named!r}, which is neither a folder nor a volume that can be mounted."
    if mounts.folder_sound(named) and not Path(named).is_dir():
        return "", f"There is no folder {named}, which GPULAB_MODELS names."
    if not (isolates or mounts.folder_sound(named)):
        return "", f"GPULAB_MODELS names the volume {named}, and labs of this node are plain processes, which see folders only."
    return named, ""


def models_checks(*, isolates: bool) -> list[Check]:
    """A line of the node's health where it has models, or cannot show them."""
    named, words = models_of(isolates=isolates)
    if words:
        return [Check("models", "yellow", f"{words} Labs start without them.", "Set it right in the worker's settings, and restart the worker.")]
    return [Check("models", "green", f"Labs see the models of {named} at {mounts.MODELS_AT}.")] if named else []


def copy_folder(one: DataSet) -> Path:
    """Where this node keeps what it copied from S3."""
    return copies_folder() / f"{one.name}@{one.version}"


def copies_folder() -> Path:
    """Where all such copies lie."""
    return settings.GPULAB_HOME.resolve() / "copies"


def _allowed(folder: Path) -> Path:
    """Its real place, if that is in one of the folders that this node's own settings name."""
    real = folder.resolve()
    if not any(real.is_relative_to(root.resolve()) for root in settings.DATA_FOLDERS):
        raise RuntimeFault(f"{folder} is in none of the folders that this node gives to data sets (GPULAB_DATA_FOLDERS).", transient=False)
    return real
