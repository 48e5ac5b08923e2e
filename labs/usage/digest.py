"""The week in figures: a message on Monday mornings to everybody who used GPUs in the week before."""

from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from labs.lifecycle import states
from labs.lifecycle.models import Lab, Lease
from labs.notices.services import notice_queue
from labs.people.models import User
from labs.usage.efficiency import Efficiency
from labs.usage.figures import Figures
from labs.usage.queries import efficiency_for, usage_of, zone
from labs.usage.scopes import Scope

MONDAY, MORNING = 0, 7
#: A message of last week that is a day late is of no use.
LASTS = timedelta(days=1)
#: Labs that are looked at for the advice, the newest first.
MOST_LABS = 50


def digests_queue(*, now: datetime) -> int:
    """On Monday from seven in the house's time zone, tell each person of their last week, once; how many were told."""
    local = timezone.localtime(now, zone())
    if local.weekday() != MONDAY or local.hour < MORNING:
        return 0
    monday = local.replace(hour=0, minute=0, second=0, microsecond=0)
    since = timezone.make_aware(timezone.make_naive(monday, zone()) - timedelta(days=7), zone())
    key = f"digest:{monday:%Y-%m-%d}"
    used = Lease.objects.filter(Q(closed_at=None) | Q(closed_at__gt=since), opened_at__lt=monday)
    people = User.objects.filter(pk__in=used.values("lab__owner_id"), is_active=True).exclude(notices__key=key)
    return sum(digest_queue(user=user, since=since, until=monday, key=key, now=now) for user in people)


def digest_queue(*, user: User, since: datetime, until: datetime, key: str, now: datetime) -> bool:
    """One person's week, where there is anything to tell."""
    total = usage_of(scope=Scope("me", "Me", (user.pk,)), first=since.date(), weeks=False, until=until - timedelta(microseconds=1)).total
    if not total.gpu_hours:
        return False
    ended = Lab.objects.filter(owner=user, state__in=states.FINAL, ended_at__gte=since, ended_at__lt=until, gpus__gt=0).order_by("-ended_at")[:MOST_LABS]
    judged = [(lab, found) for lab in ended if (found := efficiency_for(lab=lab)) and found.advice]
    words = "\n\n".join(_paragraphs(total, judged))
    told = notice_queue(
        user=user,
        kind="digest",
        subject=f"Your week: {total.gpu_hours:.1f} GPU-hours",
        words=words,
        url="/usage/?days=7",
        key=key,
        until=now + LASTS,
        now=now,
    )
    return told is not None


def _paragraphs(total: Figures, judged: list[tuple[Lab, Efficiency]]) -> list[str]:
    labs = f" in {total.labs} new lab{'' if total.labs == 1 else 's'}" if total.labs else ""
    used = f"Last week you used {total.gpu_hours:.1f} GPU-hours{labs}."
    if total.busy.idle_share is not None:
        used += f" The GPUs were busy {total.busy.gpu_pct:.0f}% on average and stood idle {total.busy.idle_share:.0%} of the time."
    found = [used]
    if total.wait_median_s is not None:
        found.append(
            f"From the click to the GPUs your labs waited {span(total.wait_median_s)} (median), and 95% of them less than {span(total.wait_p95_s or 0)}."
        )
    found += [f"{lab.name}: {efficiency.words}" for lab, efficiency in judged[:3]]
    return found


def span(seconds: float) -> str:
    """A wait in words."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
