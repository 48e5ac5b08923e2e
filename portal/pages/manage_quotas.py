"""Quotas: the role table edited in place, exceptions, and each person's use beside their limit."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from labs.lifecycle.holdings import held_by_people
from labs.people.models import Role
from labs.people.queries import people_all
from labs.policy.models import RoleLimits
from labs.policy.queries import limits_of, limits_of_role, overrides_in_force
from labs.policy.rules import LIMIT_NAMES
from labs.policy.services import override_clear, override_set, role_limits_update
from portal.pages.access import PersonRequest, administrator_required
from portal.pages.forms.manage import LIMIT_WORDS, LimitsForm, OverrideForm
from portal.pages.telling import try_form

MOST_PEOPLE = 200


@require_http_methods(["GET", "HEAD", "POST"])
@administrator_required
def manage_quotas(request: PersonRequest) -> HttpResponse:
    """The page; posted, one role's row."""
    if request.method != "POST":
        return _page(request)
    role = request.POST.get("role", "")
    RoleLimits.objects.get(pk=role)
    form = _role_form(role, request.POST)

    def change() -> None:
        role_limits_update(role=role, values=form.values, actor=request.user, now=timezone.now())

    if try_form(form, change):
        messages.success(request, f"The limits of {Role(role).label.lower()}s were changed. They hold from the next request on.")
        return redirect("manage_quotas")
    return _page(request, role_form=(role, form), status=422)


@require_POST
@administrator_required
def manage_override(request: PersonRequest) -> HttpResponse:
    """Set an exception."""
    form = OverrideForm(request.POST)

    def change() -> None:
        data = form.cleaned_data
        override_set(
            user=data["person"], group=data["group"], values=form.values, until=data["until"], note=data["note"], actor=request.user, now=timezone.now()
        )

    if try_form(form, change):
        messages.success(request, "The exception holds from the next request on.")
        return redirect("manage_quotas")
    return _page(request, override_form=form, status=422)


@require_POST
@administrator_required
def manage_override_clear(request: PersonRequest, override_id: int) -> HttpResponse:
    """End an exception."""
    override_clear(override_id=override_id, actor=request.user, now=timezone.now())
    messages.success(request, "The exception has ended.")
    return redirect("manage_quotas")


def _role_form(role: str, data: Any = None) -> LimitsForm:
    return LimitsForm(data, required=True, prefix=None, auto_id=f"{role}_%s", initial=limits_of_role(role=role))


def _page(
    request: PersonRequest, *, role_form: tuple[str, LimitsForm] | None = None, override_form: OverrideForm | None = None, status: int = 200
) -> HttpResponse:
    now = timezone.now()
    forms = {role: _role_form(role) for role in Role.values} | ({role_form[0]: role_form[1]} if role_form else {})
    people = list(people_all().filter(is_active=True)[:MOST_PEOPLE])
    held = held_by_people(user_ids=[person.pk for person in people], now=now)
    context = {
        "role_forms": [(role, Role(role).label, form) for role, form in forms.items()],
        "words": LIMIT_WORDS,
        "overrides": [(row, _given(row)) for row in overrides_in_force(now=now)],
        "override_form": override_form or OverrideForm(initial={"person": request.GET.get("person")}),
        "people": [(person, held[person.pk], limits_of(user=person, now=now)) for person in people],
    }
    return render(request, "manage/quotas.html", context, status=status)


def _given(row: object) -> str:
    """What an exception changes, in words."""
    values = {name: getattr(row, name) for name in LIMIT_NAMES}
    return ", ".join(f"{LIMIT_WORDS[name]} {value}" for name, value in values.items() if value is not None)
