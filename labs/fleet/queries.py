"""Reading the fleet."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from django.conf import settings
from django.db.models import Case, QuerySet, When

from labs.catalogue.compat import Answer, Card, Fit, Host, fit
from labs.catalogue.models import Image, Qualification
from labs.catalogue.queries import driver_rows, image_needs, verdicts_of
from labs.fleet.models import Gpu, Node, NodeImage
from labs.fleet.versions import Rule, rules_read

#: How the names of checks of disks begin.
DISK_CHECK = "disk: "


#: States of a node that should be heard.
HEARD = (Node.State.READY, Node.State.CORDONED, Node.State.DRAINING)


@cache
def version_rules() -> dict[str, Rule]:
    """The lowest safe versions of the host's software, by component."""
    return rules_read(json.loads(Path(__file__).with_name("safe_versions.json").read_text()))


def nodes_all() -> QuerySet[Node]:
    """Every node of the house with its cards."""
    return nodes_ever().exclude(state=Node.State.GONE)


def nodes_ever() -> QuerySet[Node]:
    """Those that were given up too, which come last."""
    last = Case(When(state=Node.State.GONE, then=1), default=0)
    return Node.objects.prefetch_related("gpus").order_by(last, "name")


def node_by_id(*, node_id: str) -> Node:
    """One node."""
    return Node.objects.get(pk=node_id)


def driver_of(*, node_id: str) -> str:
    """The version of the driver of the node's real cards; empty where there is none."""
    return str(Node.objects.filter(pk=node_id).exclude(probe_kind__in=("", "none", "simulated")).values_list("driver", flat=True).first() or "")


def nodes_silent(*, now: datetime) -> list[str]:
    """Nodes that should be heard and have not been for too long."""
    since = now - timedelta(seconds=settings.DEFAULTS["node_lost_after_s"])
    return list(Node.objects.filter(state__in=HEARD, heartbeat_at__lt=since).values_list("pk", flat=True))


def gpus_all() -> QuerySet[Gpu]:
    """Every card of the house with its node, in order of node and index."""
    return Gpu.objects.select_related("node").exclude(node__state=Node.State.GONE).order_by("node__name", "index")


def _cards() -> QuerySet[Gpu]:
    return Gpu.objects.exclude(node__state=Node.State.GONE)


def gpu_models() -> list[str]:
    """The models that the fleet has, for the launch form."""
    return list(_cards().filter(profile="", mig=False).order_by("model").values_list("model", flat=True).distinct())


def models_with_memory() -> list[tuple[str, int]]:
    """The models that the fleet has, each with the memory of a card, MiB."""
    return list(_cards().filter(profile="", mig=False).order_by("model").values_list("model", "memory_mib").distinct())


def slice_profiles() -> list[str]:
    """The MIG profiles of the slices that the fleet gives out, smallest first, for the launch form; empty where there are none."""
    return list(_cards().exclude(profile="").filter(health=Gpu.Health.OK).order_by("share", "profile").values_list("profile", flat=True).distinct())


def image_fits(*, image: Image, nodes: Iterable[Node]) -> dict[str, dict[str, Fit]]:
    """By node and model of its cards: will the image compute there? Simulated cards take everything. `nodes` come with their cards.

    What came of trying it on such a card under this driver is better than what the table says.
    """
    needs, rows, tried = image_needs(image=image), driver_rows(), verdicts_of(image=image)
    return {
        node.pk: {
            card.model: _tried(fit(needs, Host(driver=node.driver), Card(card.compute_capability), rows), tried.get((card.model, node.driver)))
            for card in node.gpus.all()
            if not card.simulated and not card.profile
        }
        for node in nodes
    }


def image_own(*, image: Image) -> bool:
    """Is it the house's own, built from what comes with GPU Lab? All others somebody chose."""
    return image.runtime == Image.Runtime.PROCESS or f"{image.repository}:{image.tag}" == settings.LAB_IMAGE


def image_unsafe(*, image: Image, nodes: Iterable[Node]) -> str:
    """Why an image that somebody chose starts no lab on any of these nodes, with the fix; empty where one takes it."""
    refused = [] if image_own(image=image) else [node.unsafe_words for node in nodes if node.runtime == image.runtime]
    return f"{image} is not one of the house's own images. {refused[0]}" if refused and all(refused) else ""


def _tried(said: Fit, found: Qualification | None) -> Fit:
    """A failure counts whatever the table says; a success where the table does not know."""
    if found is None or found.ended_at is None:
        return said
    if found.state == Qualification.State.FAILED:
        words = f"It was tried on {found.card} on {found.ended_at:%-d %b %Y} and failed: {found.words.rstrip('.')}."
        return Fit(Answer.REFUSED, words, "Choose another image, or have an administrator try it again.")
    return Fit(Answer.OK, f"Verified on {found.card}, {found.ended_at:%-d %b %Y}.") if said.answer in (Answer.OK, Answer.UNKNOWN) else said


def image_failed_on_cpu(*, image: Image) -> str:
    """Why no lab starts from it without a GPU either: what was found when it was tried; empty where nothing was found against it."""
    found = verdicts_of(image=image).get((Qualification.CPU, ""))
    return _tried(Fit(Answer.OK), found).words if found and found.state == Qualification.State.FAILED else ""


def image_refused(*, image: Image, nodes: Iterable[Node]) -> str:
    """Why an image computes on no card of these nodes, with the smallest fix; empty where it does on one, or where nobody can know."""
    found = [one for cards in image_fits(image=image, nodes=nodes).values() for one in cards.values()]
    if not found or any(one.answer != Answer.REFUSED for one in found):
        return ""
    return f"{found[0].words} {found[0].fix}"


def runtimes() -> set[str]:
    """The runtimes of the fleet's nodes: decides which images are offered."""
    return set(Node.objects.exclude(runtime="").exclude(state=Node.State.GONE).values_list("runtime", flat=True))


def disks_full(*, runtime: str) -> str:
    """Why nothing can be started now, in words, when a disk of every ready node of that runtime is full; else empty."""
    nodes = Node.objects.filter(runtime=runtime, state=Node.State.READY)
    full = [[check["words"] for check in node.checks if check["name"].startswith(DISK_CHECK) and check["state"] == "red"] for node in nodes]
    return f"No lab can start now. {full[0][0]} An administrator has been told." if full and all(full) else ""


def node_images(*, node_id: str) -> list[NodeImage]:
    """How far one node is with its images."""
    return list(NodeImage.objects.select_related("image").filter(node_id=node_id))


def image_progress() -> list[NodeImage]:
    """Images on nodes, everywhere."""
    return list(NodeImage.objects.select_related("image", "node").order_by("image__title", "node__name"))
