"""The end card: what happened, the last minutes as curves, the peaks, and a button that launches it again with what was missing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils.http import urlencode

from labs.fleet.queries import models_with_memory
from labs.lifecycle.diagnosis import Asked, Fix, fix_of
from labs.lifecycle.models import Lab
from labs.lifecycle.queries import gpus_of
from labs.policy.queries import limits_of
from labs.telemetry.models import LabMinute
from labs.telemetry.queries import lab_minutes_last
from labs.usage.efficiency import Efficiency
from labs.usage.queries import efficiency_for

#: A curve's drawing, in its own units.
WIDTH, HEIGHT = 240, 48


@dataclass(frozen=True, slots=True)
class Curve:
    """One measure over the last minutes: `points` for a polyline of WIDTH x HEIGHT, the peak in words."""

    title: str
    peak: str
    points: str
    minutes: int


@dataclass(frozen=True, slots=True)
class Again:
    """The button: where it leads, or what it posts to, and what will be different."""

    url: str
    words: str
    is_post: bool = False


@dataclass(frozen=True, slots=True)
class EndCard:
    """Everything below the reason of an end."""

    curves: list[Curve]
    efficiency: Efficiency | None
    again: Again


def end_card(*, lab: Lab, now: datetime) -> EndCard:
    """The card of an ended lab."""
    return EndCard(curves=curves_of(lab=lab, minutes=lab_minutes_last(lab=lab)), efficiency=efficiency_for(lab=lab), again=again_of(lab=lab, now=now))


def curves_of(*, lab: Lab, minutes: Sequence[LabMinute]) -> list[Curve]:
    """GPU, memory and shared memory; what was not measured has no curve."""
    rows: list[tuple[str, Callable[[LabMinute], float | None], float, Callable[[float], str]]] = [
        ("GPU", lambda one: one.gpu_pct_sum / one.cards if one.cards else None, 100, lambda value: f"{value:.0f}%"),
        ("Memory", lambda one: one.memory_mib_max, lab.memory_mib, lambda value: _gib(value, lab.memory_mib)),
        ("Shared memory", lambda one: one.shm_mib_max, lab.shm_mib, lambda value: _gib(value, lab.shm_mib)),
    ]
    curves = []
    for title, read, top, words in rows:
        values = [value for one in minutes if (value := read(one)) is not None]
        if len(values) > 1:
            curves.append(Curve(title, words(max(values)), _points(values, top), len(values)))
    return curves


def again_of(*, lab: Lab, now: datetime) -> Again:
    """The same wish, but for what the end says was missing: in the launch form, and for a job at the click."""
    fix = fix_for(lab=lab, now=now)
    words = f"again {fix.words}" if fix else "again"
    if lab.is_job:
        return Again(reverse("lab_again", args=[lab.pk]), f"Run it {words}", is_post=True)
    wish = {
        "image": "" if lab.reason_code in ("image_failed", "image_withdrawn") else lab.image_id,  # the same one would fail again
        "gpus": lab.gpus,
        "gpu_model": f"slice:{lab.wants_slice}" if lab.wants_slice else lab.gpu_model,
        "cpus": lab.cpus,
        "memory_gib": _gib_up(lab.memory_mib),
        "shm_gib": _gib_up(lab.shm_mib),
        "hours": lab.hours,
        "name": lab.name,
        "datasets": lab.data,
    }
    return Again(f"{reverse('launch')}?{urlencode(wish | dict(fix.fields if fix else {}), doseq=True)}", f"Launch {words}")


def fix_for(*, lab: Lab, now: datetime) -> Fix | None:
    """What would have helped, of what its owner may have."""
    limits = limits_of(user=lab.owner, now=now)
    card_mib = min((gpu.memory_mib for gpu in (gpus_of(lab=lab) if lab.gpus else ())), default=0)
    asked = Asked(memory_gib=_gib_up(lab.memory_mib), shm_gib=_gib_up(lab.shm_mib), card_mib=card_mib)
    return fix_of(code=lab.reason_code, asked=asked, most_memory_gib=limits.memory_gib, most_shm_gib=limits.shm_gib, models=models_with_memory())


def _points(values: Sequence[float], top: float) -> str:
    step = WIDTH / (len(values) - 1)
    return " ".join(f"{place * step:.1f},{HEIGHT - min(value / top, 1) * HEIGHT if top else HEIGHT:.1f}" for place, value in enumerate(values))


def _gib_up(mib: int) -> int:
    return -(-mib // 1024)


def _gib(mib: float, whole: float) -> str:
    return f"{mib / 1024:.1f} of {whole / 1024:.0f} GiB"
