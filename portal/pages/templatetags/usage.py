"""How the usage page writes numbers."""

from django import template

from portal.pages.templatetags.gpulab import span

register = template.Library()
HEAT_STEPS = 10


@register.filter
def share(value: float | None) -> str:
    """A part of one as percent; a dash where nothing is known."""
    return "–" if value is None else f"{value:.0%}"


@register.filter
def wait(seconds: float | None) -> str:
    """A wait in words; a dash where nobody waited."""
    if seconds is None:
        return "–"
    return f"{seconds:.0f} s" if seconds < 60 else span(seconds)


@register.filter
def heat(value: float | None, top: float) -> str:
    """The step of a colour, 0 to 9 where 9 is `top`, or `none`."""
    return "none" if value is None else str(min(int(value / top * HEAT_STEPS), HEAT_STEPS - 1))
