"""How the cards' pages write numbers: the same way as gpu_charts.js, which writes them anew."""

from django import template

register = template.Library()


@register.filter
def gib_number(mib: int | None) -> str:
    """MiB as GiB with one decimal, without the unit."""
    return "–" if mib is None else f"{mib / 1024:.1f}"
