"""People: accounts, invitations, roles, and what each uses beside their limit."""

import csv

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labs.lifecycle.allowances import Allowance, allowances_of
from labs.lifecycle.queries import labs_of
from labs.people.models import Role, User
from labs.people.queries import invitations_open, people_all
from labs.people.services import (
    invitation_create,
    invitation_withdraw,
    people_role_set,
    person_create,
    person_disable,
    person_enable,
    person_groups_set,
    person_update,
    reset_link_create,
)
from portal.pages.access import PersonRequest, administrator_required
from portal.pages.forms.manage import PersonEditForm, PersonForm
from portal.pages.numbers import row_numbers
from portal.pages.quota import bars_of
from portal.pages.spreadsheet import cell
from portal.pages.telling import try_form, try_or_tell

PAGE = 50
LINK = "handed_out_link"
COLUMNS = (
    "name", "email", "role", "active", "groups", "joined", "gpus", "gpus_limit", "gpu_hours_7d", "gpu_hours_7d_limit",
    "memory_gib", "memory_gib_limit", "labs", "labs_limit",
)  # fmt: skip


@require_safe
@administrator_required
def manage_people(request: PersonRequest) -> HttpResponse:
    """Everybody, with search and use beside limit."""
    now = timezone.now()
    text = request.GET.get("text", "")[:100]
    page = Paginator(people_all(text=text), PAGE).get_page(request.GET.get("page"))
    may = allowances_of(users=page, now=now)
    context = {
        "page": page,
        "rows": [(person, may[person.pk].held, may[person.pk].limits) for person in page],
        "roles": Role.choices,
        "text": text,
        "invitations": list(invitations_open(now=now)),
        "link": request.session.pop(LINK, None),
    }
    return render(request, "manage/people.html", context)


@require_safe
@administrator_required
def manage_people_csv(request: PersonRequest) -> HttpResponse:
    """Everybody who was searched for, with use beside limit, as a file."""
    now = timezone.now()
    people = list(people_all(text=request.GET.get("text", "")[:100]))
    may = allowances_of(users=people, now=now)
    answer = HttpResponse(content_type="text/csv; charset=utf-8", headers={"Content-Disposition": 'attachment; filename="gpulab-people.csv"'})
    writer = csv.writer(answer)
    writer.writerow(COLUMNS)
    writer.writerows(_row(person, may[person.pk]) for person in people)
    return answer


def _row(person: User, may: Allowance) -> list[object]:
    groups = "; ".join(str(membership.group) for membership in person.memberships.all())
    held, limits = may.held, may.limits
    return [
        cell(str(person)),
        cell(person.email),
        person.role,
        "yes" if person.is_active else "no",
        cell(groups),
        person.date_joined.date().isoformat(),
        f"{held.gpus:g}",
        limits.gpus_max,
        round(held.gpu_hours_week, 2),
        "" if limits.gpu_hours_week is None else limits.gpu_hours_week,
        round(held.memory_mib / 1024, 1),
        limits.memory_gib,
        held.labs,
        limits.labs,
    ]


@require_POST
@administrator_required
def manage_people_role(request: PersonRequest) -> HttpResponse:
    """Give everybody who is ticked a role."""
    ticked = row_numbers(request.POST.getlist("person"))[:PAGE]
    role = request.POST.get("role", "")
    users = list(people_all().filter(pk__in=ticked))
    if not users:
        messages.error(request, "Tick the people first whose role is to change.")
    else:
        many = f"{len(users)} {'person' if len(users) == 1 else 'people'}"
        done = f"The role of {many} is {Role(role).label.lower() if role in Role.values else role} now."
        try_or_tell(request, lambda: people_role_set(users=users, role=role, actor=request.user, now=timezone.now()), done=done)
    return redirect("manage_people")


@require_POST
@administrator_required
def manage_invitation_withdraw(request: PersonRequest, invitation_id: int) -> HttpResponse:
    """Let an invitation end."""
    found = invitation_withdraw(invitation_id=invitation_id, actor=request.user, now=timezone.now())
    messages.success(request, f"The invitation of {found.email} was withdrawn: its link makes no account any more.")
    return redirect("manage_people")


@require_http_methods(["GET", "HEAD", "POST"])
@administrator_required
def manage_person_add(request: PersonRequest) -> HttpResponse:
    """An invitation, or an account at once; either way a link to hand out, shown once."""
    form = PersonForm(request.POST or None)
    invite = request.POST.get("how") != "account"

    def add() -> None:
        data, now = form.cleaned_data, timezone.now()
        if invite:
            _, secret = invitation_create(email=data["email"], role=data["role"], group=data["group"], actor=request.user, now=now)
            _hand_out(request, f"Invitation for {data['email']}", reverse("invitation", args=[secret]))
        else:
            user = person_create(email=data["email"], display_name=data["display_name"], role=data["role"], group=data["group"], actor=request.user, now=now)
            _hand_out_reset(request, user)

    if request.method == "POST" and try_form(form, add):
        return redirect("manage_people")
    return render(request, "manage/person_add.html", {"form": form}, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@administrator_required
def manage_person(request: PersonRequest, person_id: int) -> HttpResponse:
    """One person: name, role, groups, use, labs."""
    person, now = User.objects.get(pk=person_id), timezone.now()
    groups = [membership.group_id for membership in person.memberships.all()]
    form = PersonEditForm(request.POST or None, initial={"display_name": person.display_name, "role": person.role, "groups": groups})

    def change() -> None:
        data = form.cleaned_data
        person_update(user=person, display_name=data["display_name"], role=data["role"], actor=request.user, now=now)
        person_groups_set(user=person, groups=list(data["groups"]), actor=request.user, now=now)

    if request.method == "POST" and try_form(form, change):
        messages.success(request, f"{person} was changed. It holds from their next request on.")
        return redirect("manage_person", person_id=person_id)
    person.refresh_from_db()
    context = {
        "person": person,
        "form": form,
        "bars": bars_of(user=person, now=now),
        "labs": labs_of(user=person)[:10],
        "link": request.session.pop(LINK, None),
    }
    return render(request, "manage/person.html", context, status=422 if form.is_bound else 200)


@require_POST
@administrator_required
def manage_person_disable(request: PersonRequest, person_id: int) -> HttpResponse:
    """Shut every door to a person."""
    person = User.objects.get(pk=person_id)
    try_or_tell(request, lambda: person_disable(user=person, actor=request.user, now=timezone.now()), done=f"{person} is disabled; their files stay.")
    return redirect("manage_person", person_id=person_id)


@require_POST
@administrator_required
def manage_person_enable(request: PersonRequest, person_id: int) -> HttpResponse:
    """Let a person in again."""
    person = User.objects.get(pk=person_id)
    try_or_tell(request, lambda: person_enable(user=person, actor=request.user, now=timezone.now()), done=f"{person} may sign in again.")
    return redirect("manage_person", person_id=person_id)


@require_POST
@administrator_required
def manage_person_reset(request: PersonRequest, person_id: int) -> HttpResponse:
    """A password link to hand out where there is no mail server."""
    person = User.objects.get(pk=person_id)
    try_or_tell(request, lambda: _hand_out_reset(request, person), done="The link is ready to be handed out.")
    return redirect("manage_person", person_id=person_id)


def _hand_out_reset(request: PersonRequest, person: User) -> None:
    uid, key = reset_link_create(user=person, actor=request.user, now=timezone.now())
    _hand_out(request, f"Password link for {person.email}", reverse("account_reset_password_from_key", kwargs={"uidb36": uid, "key": key}))


def _hand_out(request: PersonRequest, title: str, path: str) -> None:
    """Show a link once, on the page that follows."""
    request.session[LINK] = {"title": title, "url": settings.PORTAL_URL.rstrip("/") + path}
