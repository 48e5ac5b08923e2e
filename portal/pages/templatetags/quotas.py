"""How the pages about quotas write limits."""

from collections.abc import Mapping
from urllib.parse import urlencode

from django import template
from django.urls import reverse

from labs.policy.models import LimitWindow
from portal.pages.forms.manage import LIMIT_WORDS
from portal.pages.forms.quota import DAYS

register = template.Library()


@register.filter
def limit(name: str) -> str:
    """What a limit is called, with its unit."""
    return LIMIT_WORDS.get(name, name)


@register.filter
def ask_url(more: Mapping[str, int]) -> str:
    """Where to ask for what a refusal says was needed, with the numbers filled in."""
    return f"{reverse('quota_ask')}?{urlencode(more)}"


@register.filter
def when(row: LimitWindow) -> str:
    """`Mon–Fri 20:00–07:00, while less than 50% of the GPUs are in use`."""
    hours = "all day" if row.start == row.end else f"{row.start:%H:%M}–{row.end:%H:%M}"
    quiet = f", while less than {row.below}% of the GPUs are in use" if row.below else ""
    if row.days == "0123456" and row.start == row.end:
        return f"always{quiet}"
    return f"{_days(row.days)} {hours}{quiet}"


def _days(days: str) -> str:
    """Three and more in a row as a span."""
    names = dict(DAYS)
    if days == "0123456":
        return "every day"
    if len(days) > 2 and days in "0123456":
        return f"{names[days[0]]}–{names[days[-1]]}"
    return ", ".join(names[day] for day in days)
