"""My quota: what I hold beside what I may have, until when it is wider, and asking for more; for those who decide, the answer."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labs.lifecycle.allowances import Allowance, allowance_of
from labs.people.models import User
from labs.people.queries import groups_taught
from labs.policy.asking import ASKABLE, more_words, request_create, request_decline, request_grant, request_withdraw
from labs.policy.models import QuotaRequest
from labs.policy.queries import exceptions_of, limits_of, request_for_answerer, requests_of, requests_to_answer
from labs.policy.rules import LIMIT_NAMES
from labs.policy.words import disk_full, whole
from labs.storage.queries import workspaces_of
from labs.storage.services import workspace_measure_ask
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.manage import LIMIT_WORDS
from portal.pages.forms.quota import AnswerForm, AskForm, end_of, usual_until
from portal.pages.quota import bars, bars_of, bars_of_group
from portal.pages.telling import try_form, try_or_tell

RECENT = 10


@require_safe
@person_required
def my_quota(request: PersonRequest) -> HttpResponse:
    """Bars, what my workspace holds, what is wider until when, exceptions, and what I asked for."""
    now = timezone.now()
    may = allowance_of(user=request.user, now=now)
    context = _holding(request.user, may) | {
        "groups": [(share.words, rows) for share in may.shares if (rows := bars_of_group(share))],
        "exceptions": [(row, given_words(row)) for row in exceptions_of(user=request.user, now=now)],
        "requests": [(row, more_words(row.asked), row.state == QuotaRequest.State.OPEN) for row in requests_of(user=request.user)[:RECENT]],
        "to_answer": requests_to_answer(user=request.user).count() if may_answer(request.user) else None,
    }
    return render(request, "quota/quota.html", context)


@require_safe
@person_required
def quota_holding(request: PersonRequest) -> HttpResponse:
    """The part that moves: bars and workspace."""
    return render(request, "quota/_holding.html", _holding(request.user, allowance_of(user=request.user, now=timezone.now())))


@require_POST
@person_required
def quota_measure(request: PersonRequest) -> HttpResponse:
    """Measure my workspace now."""
    done = "Your workspace is being measured. This page shows it in a moment; a large one takes minutes."
    try_or_tell(request, lambda: workspace_measure_ask(user=request.user, now=timezone.now()), done=done)
    return redirect("quota")


@require_http_methods(["GET", "HEAD", "POST"])
@person_required
def quota_ask(request: PersonRequest) -> HttpResponse:
    """Ask for more; the address carries the numbers of the wish that was refused."""
    now = timezone.now()
    initial = {"until": usual_until()} | {name: value for name in ASKABLE if (value := request.GET.get(name, "")).isdigit()}
    form = AskForm(request.POST or None, limits=limits_of(user=request.user, now=now), initial=initial)

    def ask() -> None:
        request_create(user=request.user, asked=form.values, until=end_of(form.cleaned_data["until"]), why=form.cleaned_data["why"], now=now)

    if request.method == "POST" and try_form(form, ask):
        messages.success(request, "Your request was sent. You are told as soon as somebody answers it.")
        return redirect("quota")
    return render(request, "quota/ask.html", {"form": form}, status=422 if form.is_bound else 200)


@require_POST
@person_required
def quota_withdraw(request: PersonRequest, request_id: int) -> HttpResponse:
    """Take my request back."""
    try_or_tell(request, lambda: request_withdraw(user=request.user, request_id=request_id, now=timezone.now()), done="The request was withdrawn.")
    return redirect("quota")


@require_safe
@person_required
def quota_requests(request: PersonRequest) -> HttpResponse:
    """What my people ask for, for teachers; what everybody asks for, for administrators."""
    if not may_answer(request.user):
        raise PermissionDenied("Teachers answer for their courses and teams, administrators for everybody.")
    return render(request, "quota/requests.html", {"asking": asking_rows(request.user), "courses": groups_taught(user=request.user)})


@require_http_methods(["GET", "HEAD", "POST"])
@person_required
def quota_request(request: PersonRequest, request_id: int) -> HttpResponse:
    """One request beside what the person holds; posted, the answer."""
    now = timezone.now()
    row = request_for_answerer(user=request.user, request_id=request_id)
    limits = limits_of(user=row.user, now=now)
    form = AnswerForm(request.POST or None, limits=limits, initial=dict(row.asked) | {"until": timezone.localtime(row.until).date()})
    declines = request.POST.get("decision") == "decline"

    def answer() -> None:
        words: dict[str, Any] = {"request_id": row.pk, "answer": form.cleaned_data["answer"], "actor": request.user, "now": now}
        if declines:
            request_decline(**words)
        else:
            request_grant(values=form.values, until=end_of(form.cleaned_data["until"]), **words)

    if request.method == "POST" and try_form(form, answer):
        messages.success(request, f"The request of {row.user} was {'declined' if declines else 'granted'}, and they are told.")
        return redirect("manage_quotas" if request.user.is_administrator else "quota_requests")
    row.refresh_from_db()
    context = {"row": row, "asks": more_words(row.asked), "form": form, "bars": bars_of(user=row.user, now=now), "open": row.state == QuotaRequest.State.OPEN}
    return render(request, "quota/request.html", context, status=422 if form.is_bound else 200)


def _holding(user: User, may: Allowance) -> dict[str, Any]:
    """The part that moves; `full` when my workspace alone holds up labs with GPUs, with the number to ask for."""
    held, limits = may.held, may.limits
    full = {"words": disk_full(held.disk_gib, limits.disk_gib), "needed": whole(held.disk_gib)} if held.disk_gib > limits.disk_gib else None
    return {"bars": bars(held=held, limits=limits), "limits": limits, "full": full, "workspaces": list(workspaces_of(user=user))}


def may_answer(user: User) -> bool:
    """Administrators, and teachers of a course or team."""
    return user.is_administrator or bool(groups_taught(user=user))


def asking_rows(user: User) -> list[tuple[QuotaRequest, str]]:
    """Open requests that this person may answer, each in words."""
    return [(row, more_words(row.asked)) for row in requests_to_answer(user=user)]


def given_words(row: object) -> str:
    """What an exception changes, in words."""
    values = {name: getattr(row, name) for name in LIMIT_NAMES}
    return " · ".join(f"{label}: {values[name]}" for name, label in LIMIT_WORDS.items() if values[name] is not None)
