"""Telling people what became of what they sent."""

from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.http import HttpRequest

from labs.people.errors import Refused


def first_error(form: forms.Form) -> str:
    """The first thing that is wrong with a form, with the name of its field."""
    name, errors = next(iter(form.errors.items()))
    label = form.fields[name].label or name if name in form.fields else ""
    return f"{label}: {errors[0]}" if label else str(errors[0])


def try_or_tell(request: HttpRequest, act: Callable[[], object], *, done: str) -> bool:
    """Do it and say so; or say in the refusal's words why not."""
    try:
        act()
    except Refused as refused:
        messages.error(request, refused.words)
        return False
    messages.success(request, done)
    return True


def try_form(form: forms.Form, act: Callable[[], object]) -> bool:
    """Do it if the form is valid; a refusal is written beside the field that caused it."""
    if not form.is_valid():
        return False
    try:
        act()
    except Refused as refused:
        form.add_error(refused.field if refused.field in form.fields else None, refused.words)
        return False
    return True
