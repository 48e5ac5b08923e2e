"""Reading the fleet."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import QuerySet

from labs.catalogue.compat import Answer, Card, Fit, Host, fit
from labs.catalogue.models import Image
from labs.catalogue.queries import driver_rows, image_needs
from labs.fleet.models import Gpu, Node, NodeImage

#: How the names of checks of disks begin.
DISK_CHECK = "disk: "


def nodes_all() -> QuerySet[Node]:
    """Every node with its cards."""
    return Node.objects.prefetch_related("gpus")


def node_by_id(*, node_id: str) -> Node:
    """One node."""
    return Node.objects.get(pk=node_id)


def nodes_silent(*, now: datetime) -> list[str]:
    """Nodes that are ready by the record and have not been heard for too long."""
    since = now - timedelta(seconds=settings.DEFAULTS["node_lost_after_s"])
    return list(Node.objects.filter(state=Node.State.READY, heartbeat_at__lt=since).values_list("pk", flat=True))


def gpus_all() -> QuerySet[Gpu]:
    """Every card with its node, in order of node and index."""
    return Gpu.objects.select_related("node").order_by("node__name", "index")


def gpu_models() -> list[str]:
    """The models that the fleet has, for the launch form."""
    return list(Gpu.objects.filter(profile="", mig=False).order_by("model").values_list("model", flat=True).distinct())


def models_with_memory() -> list[tuple[str, int]]:
    """The models that the fleet has, each with the memory of a card, MiB."""
    return list(Gpu.objects.filter(profile="", mig=False).order_by("model").values_list("model", "memory_mib").distinct())


def slice_profiles() -> list[str]:
    """The MIG profiles of the slices that the fleet gives out, smallest first, for the launch form; empty where there are none."""
    return list(Gpu.objects.exclude(profile="").filter(health=Gpu.Health.OK).order_by("share", "profile").values_list("profile", flat=True).distinct())


def image_fits(*, image: Image, nodes: Iterable[Node]) -> dict[str, dict[str, Fit]]:
    """By node and model of its cards: will the image compute there? Simulated cards take everything. `nodes` come with their cards."""
    needs, rows = image_needs(image=image), driver_rows()
    return {
        node.pk: {
            card.model: fit(needs, Host(driver=node.driver), Card(card.compute_capability), rows)
            for card in node.gpus.all()
            if not card.simulated and not card.profile
        }
        for node in nodes
    }


def image_refused(*, image: Image, nodes: Iterable[Node]) -> str:
    """Why an image computes on no card of these nodes, with the smallest fix; empty where it does on one, or where nobody can know."""
    found = [one for cards in image_fits(image=image, nodes=nodes).values() for one in cards.values()]
    if not found or any(one.answer != Answer.REFUSED for one in found):
        return ""
    return f"{found[0].words} {found[0].fix}"


def runtimes() -> set[str]:
    """The runtimes of the fleet's nodes: decides which images are offered."""
    return set(Node.objects.exclude(runtime="").values_list("runtime", flat=True))


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
