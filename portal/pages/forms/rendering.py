"""How Django's form fields look: Tabler's classes, and errors that a screen reader hears with their field."""

from typing import Any

from django import forms
from django.forms.renderers import TemplatesSetting


class Renderer(TemplatesSetting):
    """Fields are drawn by templates/forms/field.html."""

    field_template_name = "forms/field.html"
    form_template_name = "forms/form.html"


CLASSES: dict[type[forms.Widget], str] = {
    forms.CheckboxInput: "form-check-input",
    forms.RadioSelect: "form-check-input",
    forms.Select: "form-select",
    forms.SelectMultiple: "form-select",
    forms.ClearableFileInput: "form-control",
    forms.Textarea: "form-control",
    forms.Input: "form-control",
}


def css_class(widget: forms.Widget) -> str:
    """Tabler's class of a widget; the most specific entry wins."""
    for kind in type(widget).__mro__:
        if kind in CLASSES:
            return CLASSES[kind]
    return ""


class Styled:
    """Mixed into a form: its widgets carry Tabler's classes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():  # type: ignore[attr-defined]
            field.widget.attrs.setdefault("class", css_class(field.widget))
