"""Times of the queue: a clock without a date where the day is plain, and a range of them."""

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from labs.scheduler.snapshot import Estimate

register = template.Library()
#: Nearer than this, a clock says less than words.
SOON = timedelta(minutes=1)
WEEK = timedelta(days=6)


def clock_words(at: datetime, now: datetime) -> str:
    """`14:20`, `Sun 14:20` or `29 Nov, 14:20` in the house's time zone."""
    here, today = timezone.localtime(at), timezone.localtime(now)
    if here.date() == today.date():
        return f"{here:%H:%M}"
    return f"{here:%a %H:%M}" if abs(here - today) < WEEK else f"{here:%d %b, %H:%M}"


@register.simple_tag
def clock(at: datetime | None, house: bool = False) -> SafeString | str:
    """A moment of these days; app.js shows it in the reader's own time zone, but for one on a page whose times are the house's."""
    if at is None:
        return ""
    shown = '<time class="num" datetime="{}">{}</time>' if house else '<time class="num" datetime="{}" data-clock>{}</time>'
    return format_html(shown, at.isoformat(), clock_words(at, timezone.now()))


@register.simple_tag
def about(estimate: Estimate | None, unknown: str = "", house: bool = False) -> SafeString | str:
    """`about 14:20–14:50`, `by about 14:50`, `any moment`, or `unknown` without an estimate."""
    if estimate is None:
        return unknown
    now = timezone.now()
    if estimate.latest <= now + SOON:
        return "any moment"
    if estimate.soonest <= now + SOON:
        return format_html("by about {}", clock(estimate.latest, house))
    if estimate.latest - estimate.soonest < SOON:
        return format_html("about {}", clock(estimate.soonest, house))
    return format_html("about {}–{}", clock(estimate.soonest, house), clock(estimate.latest, house))
