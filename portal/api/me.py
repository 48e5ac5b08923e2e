"""The caller: limits, what is held, what is left."""

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router

from labs.lifecycle.holdings import held_by
from labs.policy.queries import limits_of
from labs.policy.rules import Held, Limits
from portal.api import schemas
from portal.api.auth import caller

router = Router(tags=["me"])


@router.get("/me", response=schemas.Me, summary="Look at yourself")
def me(request: HttpRequest) -> Any:
    """Who the token belongs to, what that person may have, holds, and has left."""
    user, now = caller(request), timezone.now()
    limits, held = limits_of(user=user, now=now), held_by(user=user, now=now)
    return {
        "id": user.pk,
        "email": user.email,
        "display_name": str(user),
        "role": user.role,
        "scope": request.auth.scope,  # type: ignore[attr-defined]
        "limits": limits,
        "held": _held(held),
        "left": _left(limits, held),
    }


def _held(held: Held) -> dict[str, Any]:
    return {
        "gpus": held.gpus,
        "labs": held.labs,
        "pending": held.pending,
        "cpus": held.cpus,
        "memory_gib": held.memory_mib / 1024,
        "gpu_hours_week": round(held.gpu_hours_week, 2),
    }


def _left(limits: Limits, held: Held) -> dict[str, Any]:
    """Never below nothing: limits may have been lowered below what is held."""
    caps = {
        "gpus": limits.gpus_max,
        "labs": limits.labs,
        "pending": limits.pending,
        "cpus": limits.cpus,
        "memory_gib": limits.memory_gib,
        "gpu_hours_week": limits.gpu_hours_week,
    }
    return {name: None if caps[name] is None else round(max(caps[name] - have, 0), 2) for name, have in _held(held).items()}
