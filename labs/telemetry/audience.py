"""Who may see what of a card. Pure: names, command lines and lab ids only for those whose they are, and administrators."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Card = Mapping[str, Any]
SHOWN = (
    "uuid", "index", "model", "memory_total_mib", "memory_used_mib", "gpu_pct", "memory_pct", "temperature_c",
    "power_w", "power_limit_w", "sm_mhz", "memory_mhz", "ecc_errors", "fault",
)  # fmt: skip
#: A card in MIG mode has no holder of its own.
IN_SLICES = "given out in slices"


@dataclass(frozen=True, slots=True)
class Audience:
    """Who looks: an administrator sees everything, everybody else what is theirs."""

    user_id: int
    is_admin: bool


def card_for(card: Card, audience: Audience) -> dict[str, Any]:
    """A card as the audience may see it: holder in words, processes only of one's own lab (administrators: all)."""
    holder: Mapping[str, Any] = card.get("holder") or {}
    mine = holder.get("owner") == audience.user_id
    words = IN_SLICES if card.get("mig") else holder_words(holder, audience)
    shown = {name: card.get(name) for name in SHOWN} | {"holder": words, "mine": mine}
    if holder and (mine or audience.is_admin):
        shown["lab"] = holder["lab"]
    if audience.is_admin:
        shown["processes"] = list(card.get("processes", ()))
    elif mine:
        shown["processes"] = [one for one in card.get("processes", ()) if one["lab"] == holder["lab"]]
    return shown


def holder_words(holder: Mapping[str, Any] | None, audience: Audience) -> str:
    """`you`, `in use`, a name for administrators, or empty for a free card."""
    if not holder:
        return ""
    if holder["owner"] == audience.user_id:
        return f"you ({holder['name']})"
    return f"{holder['owner_name']} ({holder['name']})" if audience.is_admin else "in use"
