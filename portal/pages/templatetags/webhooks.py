"""How the page of webhooks says what happened."""

from django import template

from labs.webhooks.rules import EVENTS, TEST

register = template.Library()


@register.filter
def happening(code: str) -> str:
    """What a person reads of a kind of event."""
    return "A test" if code == TEST else EVENTS.get(code, code)
