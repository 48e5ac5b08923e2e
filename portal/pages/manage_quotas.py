"""Quotas: the role table edited in place, exceptions, requests, and each person's use beside their limit. Changes are previewed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labs.lifecycle.allowances import allowances_of, load_now
from labs.lifecycle.holdings import held_by_people
from labs.lifecycle.models import Lab
from labs.lifecycle.queries import waits_beyond
from labs.people.models import Role
from labs.people.queries import people_all
from labs.policy.models import LimitOverride, RoleLimits
from labs.policy.preview import Preview, grant_end_preview, override_preview, role_preview
from labs.policy.queries import groups_limited, limits_of_role, overrides_in_force, windows_all
from labs.policy.services import override_clear, override_set, role_limits_update
from portal.pages.access import PersonRequest, administrator_required
from portal.pages.forms.manage import LIMIT_WORDS, LimitsForm, OverrideForm
from portal.pages.forms.quota import CAP_WORDS, GroupCapsForm, GroupChoiceForm, WindowForm
from portal.pages.my_quota import asking_rows, given_words
from portal.pages.telling import try_form

MOST_PEOPLE = 200


@dataclass(frozen=True, slots=True)
class Pending:
    """A change that is not saved yet because of whom it hits: what it would do, which waiting labs it shuts out, and what sends it again."""

    title: str
    preview: Preview
    waits: list[tuple[Lab, str]]
    action: str
    fields: list[tuple[str, str]]


@require_http_methods(["GET", "HEAD", "POST"])
@administrator_required
def manage_quotas(request: PersonRequest) -> HttpResponse:
    """The page; posted, one role's row."""
    if request.method != "POST":
        return quotas_page(request)
    role, now = request.POST.get("role", ""), timezone.now()
    RoleLimits.objects.get(pk=role)
    form, title = _role_form(role, request.POST), f"Limits of {Role(role).label.lower()}s"
    if not form.is_valid():
        return quotas_page(request, role_form=(role, form), status=422)

    def change() -> None:
        role_limits_update(role=role, values=form.values, actor=request.user, now=now)

    preview = role_preview(role=role, values=form.values, holdings=holdings_at(now), now=now, load=load_now())
    return save_or_ask(request, form, title, preview, change, role_form=(role, form))


@require_safe
@administrator_required
def manage_quotas_preview(request: PersonRequest) -> HttpResponse:
    """What a role's row would do as it stands in the page; asked for at every change."""
    role, now = request.GET.get("role", ""), timezone.now()
    RoleLimits.objects.get(pk=role)
    form = _role_form(role, request.GET)
    preview = role_preview(role=role, values=form.values, holdings=holdings_at(now), now=now, load=load_now()) if form.is_valid() else None
    waits = waits_beyond(limits=preview.limits) if preview else []
    return render(request, "manage/_quota_preview.html", {"title": f"Limits of {Role(role).label.lower()}s", "preview": preview, "waits": waits})


@require_POST
@administrator_required
def manage_override(request: PersonRequest) -> HttpResponse:
    """Set an exception."""
    form, now = OverrideForm(request.POST), timezone.now()
    if not form.is_valid():
        return quotas_page(request, override_form=form, status=422)
    data = form.cleaned_data
    whose = {"user": data["person"], "group": data["group"]}

    def change() -> None:
        override_set(**whose, values=form.values, until=data["until"], note=data["note"], actor=request.user, now=now)

    preview = override_preview(**whose, values=form.values, holdings=holdings_at(now), now=now, load=load_now())
    return save_or_ask(request, form, f"Exception for {data['person'] or data['group']}", preview, change, override_form=form)


@require_POST
@administrator_required
def manage_override_clear(request: PersonRequest, override_id: int) -> HttpResponse:
    """End an exception or a grant."""
    row, now = LimitOverride.objects.select_related("user", "group").get(pk=override_id), timezone.now()

    def change() -> None:
        override_clear(override_id=override_id, actor=request.user, now=now)

    preview = grant_end_preview(row=row, holdings=holdings_at(now), now=now, load=load_now())
    return save_or_ask(request, None, f"End of the exception for {row.user or row.group}", preview, change)


def save_or_ask(request: PersonRequest, form: Any, title: str, preview: Preview, change: Callable[[], None], **kept: Any) -> HttpResponse:
    """Save a change that hits nobody, or that was confirmed; else show whom it hits and ask. `kept` are the forms as they were sent."""
    waits = waits_beyond(limits=preview.limits)
    if (preview.over or preview.together or waits) and request.POST.get("confirm") != "yes":
        fields = [(name, value) for name, values in request.POST.lists() if name != "csrfmiddlewaretoken" for value in values]
        return quotas_page(request, pending=Pending(title, preview, waits, request.path, fields), **kept)  # type: ignore[arg-type]  # no upload is a field
    if form is None:
        change()
    elif not try_form(form, change):
        return quotas_page(request, status=422, **kept)
    over = len(preview.over)
    nobody = "Nobody is over." if not over else f"{over} {'person is' if over == 1 else 'people are'} over."
    messages.success(request, f"{title}: saved, and it holds from the next request on. {nobody}")
    return redirect("manage_quotas")


def holdings_at(now: datetime) -> Callable[[Any], Any]:
    """What people hold now, for the previews."""
    return lambda user_ids: held_by_people(user_ids=list(user_ids), now=now)


def quotas_page(request: PersonRequest, *, status: int = 200, **changed: Any) -> HttpResponse:
    """The page, with what was sent in place of what is: role_form, override_form, caps_form (group id, form), window_form, pending."""
    now = timezone.now()
    everybody = people_all().filter(is_active=True)
    people = list(everybody[:MOST_PEOPLE])
    may = allowances_of(users=people, now=now)
    context = {
        "role_forms": [(role, Role(role).label, form) for role, form in _role_forms(changed.pop("role_form", None)).items()],
        "words": LIMIT_WORDS,
        "overrides": [(row, given_words(row)) for row in overrides_in_force(now=now)],
        "override_form": OverrideForm(initial={"person": request.GET.get("person")}),
        "people": [(person, may[person.pk].held, may[person.pk].limits) for person in people],
        "unlisted": everybody.count() - MOST_PEOPLE if len(people) == MOST_PEOPLE else 0,
        "cap_words": CAP_WORDS,
        "caps": _caps_forms(*changed.pop("caps_form", (None, None))),
        "group_form": GroupChoiceForm(),
        "windows": windows_all(),
        "window_form": WindowForm(),
        "asking": asking_rows(request.user),
        "zone": timezone.get_default_timezone_name(),
    }
    return render(request, "manage/quotas.html", context | changed, status=status)


def _role_form(role: str, data: Any = None) -> LimitsForm:
    return LimitsForm(data, required=True, prefix=None, auto_id=f"{role}_%s", initial=limits_of_role(role=role))


def _role_forms(sent: tuple[str, LimitsForm] | None) -> dict[str, LimitsForm]:
    return {role: _role_form(role) for role in Role.values} | ({sent[0]: sent[1]} if sent else {})


def _caps_forms(group_id: int | None, sent: GroupCapsForm | None) -> list[tuple[Any, GroupCapsForm]]:
    """Each group's row; of the one that was sent, the form as it was sent."""
    rows = groups_limited()
    return [
        (row.group, sent if sent and row.pk == group_id else GroupCapsForm(initial={name: getattr(row, name) for name in CAP_WORDS}, auto_id=f"g{row.pk}_%s"))
        for row in rows
    ]
