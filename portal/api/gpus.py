"""The cards of the fleet and who holds them."""

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router

from labs.fleet import models
from labs.fleet.queries import gpus_all
from labs.lifecycle.models import Lease
from labs.lifecycle.queries import leases_open
from labs.telemetry.queries import latest_cards
from portal.api import schemas
from portal.api.auth import caller, is_admin
from portal.api.pagination import Cursor, Limit, page

router = Router(tags=["fleet"])


@router.get("/gpus", response=schemas.GpuPage, summary="List GPUs")
def gpu_list(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """Every card: what it is, whether it is free, and whose it is as far as you may know."""
    leases, readings = leases_open(), latest_cards(now=timezone.now())

    def shown(gpu: models.Gpu) -> dict[str, Any]:
        return _shown(request, gpu, leases.get(gpu.pk)) | {"reading": readings.get(gpu.pk)}

    return page(request, gpus_all(), order=("node_id", "index", "uuid"), cursor=cursor, limit=limit, show=shown)


@router.get("/gpus/{str:uuid}", response=schemas.Gpu, summary="Look at a GPU")
def gpu_look(request: HttpRequest, uuid: str) -> Any:
    """404 where there is none."""
    gpu = gpus_all().get(pk="".join(letter for letter in uuid if letter.isprintable()))
    return _shown(request, gpu, leases_open().get(gpu.pk)) | {"reading": latest_cards(now=timezone.now()).get(gpu.pk)}


def _shown(request: HttpRequest, gpu: models.Gpu, lease: Lease | None) -> dict[str, Any]:
    holder, lab = _holder(request, lease)
    return {
        "uuid": gpu.uuid,
        "index": gpu.index,
        "node": gpu.node_id,
        "model": gpu.model,
        "memory_mib": gpu.memory_mib,
        "compute_capability": gpu.compute_capability,
        "health": gpu.health,
        "simulated": gpu.simulated,
        "state": _state(gpu, lease),
        "holder": holder,
        "lab": lab,
    }


def _state(gpu: models.Gpu, lease: Lease | None) -> str:
    if lease:
        return "in use"
    usable = gpu.health == models.Gpu.Health.OK and gpu.node.state == models.Node.State.READY
    return "free" if usable else "unavailable"


def _holder(request: HttpRequest, lease: Lease | None) -> tuple[str | None, str | None]:
    """Named for administrators; others learn only whether it is theirs."""
    if lease is None:
        return None, None
    if lease.lab.owner_id == caller(request).pk:
        return "you", lease.lab_id
    return (str(lease.lab.owner), lease.lab_id) if is_admin(request) else ("in use", None)
