"""Classes: reserve, change, cancel, take back; one meeting by itself; and one's own lab of a class."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labs.catalogue.queries import images_offered
from labs.fleet.queries import gpu_models, runtimes
from labs.lifecycle.classes import class_lab_request, class_roster
from labs.lifecycle.queries import labs_on_cards
from labs.people.errors import Refused
from labs.people.models import User
from labs.timetable.holdings import house_zone, pools
from labs.timetable.models import Meeting, Reservation
from labs.timetable.queries import (
    ClassPreview,
    class_preview,
    groups_reservable,
    may_edit,
    may_reserve,
    meeting_for_editor,
    meeting_for_member,
    meeting_shown,
    meetings_of,
    people_count,
    reservation_for_editor,
)
from labs.timetable.services import (
    meeting_cancel,
    meeting_change,
    meeting_release,
    meeting_restore,
    reservation_cancel,
    reservation_change,
    reservation_create,
    reservation_restore,
)
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.calendar import MeetingForm, ReservationForm, reservation_initial, usual_class
from portal.pages.numbers import row_numbers
from portal.pages.telling import first_error, try_form, try_or_tell


@require_http_methods(["GET", "HEAD", "POST"])
@person_required
def reserve(request: PersonRequest) -> HttpResponse:
    """The form; posted, a reservation."""
    _reserver(request)
    if request.method != "POST":
        return _page(request, _form(request, None, _usual(request)), None)
    form, made = _form(request, request.POST), []
    if try_form(form, lambda: made.append(reservation_create(wish=form.wish, actor=request.user, now=timezone.now()))):
        first = made[0].meetings.first()
        messages.success(request, f"{made[0]} is reserved, the first time on {timezone.localtime(first.starts_at):%a %d %b, %H:%M}.")
        return redirect("meeting", meeting_id=first.pk)
    return _page(request, form, None, status=422)


@require_http_methods(["GET", "HEAD", "POST"])
@person_required
def reservation(request: PersonRequest, reservation_id: int) -> HttpResponse:
    """The series' form; posted, the series changed."""
    row = reservation_for_editor(user=request.user, reservation_id=reservation_id)
    if request.method != "POST":
        return _page(request, _form(request, None, reservation_initial(row)), row)
    form = _form(request, request.POST)
    if try_form(form, lambda: reservation_change(reservation=row, wish=form.wish, actor=request.user, now=timezone.now())):
        messages.success(request, f"{form.cleaned_data['title']} was changed. What has begun or was changed by itself stays as it is.")
        return redirect("reservation", reservation_id=row.pk)
    return _page(request, form, row, status=422)


@require_safe
@person_required
def reserve_verdict(request: PersonRequest) -> HttpResponse:
    """What saving would do with the form as it stands; asked for at every change."""
    _reserver(request)
    asked = row_numbers(request.GET.getlist("reservation"))
    row = reservation_for_editor(user=request.user, reservation_id=asked[0]) if asked else None
    return render(request, "calendar/_verdict.html", _verdict(request, _form(request, request.GET), row))


@require_POST
@person_required
def reservation_off(request: PersonRequest, reservation_id: int) -> HttpResponse:
    """Cancel the series. The page that follows offers to take it back."""
    row = reservation_for_editor(user=request.user, reservation_id=reservation_id)
    left = meetings_of(reservation=row, now=timezone.now())
    if try_or_tell(request, lambda: reservation_cancel(reservation=row, actor=request.user, now=timezone.now()), done=f"{row} was cancelled.") and left:
        return redirect("meeting", meeting_id=left[0].pk)
    return redirect("calendar")


@require_POST
@person_required
def reservation_on(request: PersonRequest, reservation_id: int) -> HttpResponse:
    """Take a cancelling back."""
    row = Reservation.objects.select_related("group").get(pk=reservation_id)
    if not may_edit(user=request.user, reservation=row):
        raise Reservation.DoesNotExist
    try_or_tell(request, lambda: reservation_restore(reservation=row, actor=request.user, now=timezone.now()), done=f"{row} takes place after all.")
    return redirect("calendar")


@require_safe
@person_required
def meeting(request: PersonRequest, meeting_id: int) -> HttpResponse:
    """One meeting: when, for whom, with what; what its people and its teacher can do."""
    return _meeting_page(request, meeting_shown(meeting_id=meeting_id))


@require_POST
@person_required
def meeting_edit(request: PersonRequest, meeting_id: int) -> HttpResponse:
    """Move it, or give it more or fewer cards."""
    row = meeting_for_editor(user=request.user, meeting_id=meeting_id)
    form = MeetingForm(request.POST)
    if try_form(form, lambda: meeting_change(meeting=row, **form.cleaned_data, actor=request.user, now=timezone.now())):
        messages.success(request, "Changed. Its people were told if it is within a week.")
        return redirect("meeting", meeting_id=row.pk)
    return _meeting_page(request, row, form=form, status=422)


@require_POST
@person_required
def meeting_off(request: PersonRequest, meeting_id: int) -> HttpResponse:
    """Leave it out."""
    return _act(request, meeting_id, meeting_cancel, "It does not take place. The series goes on.")


@require_POST
@person_required
def meeting_on(request: PersonRequest, meeting_id: int) -> HttpResponse:
    """Let it take place after all."""
    return _act(request, meeting_id, meeting_restore, "It takes place after all.")


@require_POST
@person_required
def meeting_end(request: PersonRequest, meeting_id: int) -> HttpResponse:
    """End it early."""
    return _act(request, meeting_id, meeting_release, "Ended. Its labs stop, and its GPUs go to the queue.")


@require_POST
@person_required
def meeting_lab(request: PersonRequest, meeting_id: int) -> HttpResponse:
    """One's own lab on the class's cards."""
    row = meeting_for_member(user=request.user, meeting_id=meeting_id)
    try:
        lab = class_lab_request(owner=request.user, meeting=row, actor=request.user, now=timezone.now())
    except Refused as refused:
        messages.error(request, refused.words)
        return redirect("meeting", meeting_id=row.pk)
    return redirect("lab", lab_id=lab.pk)


def _reserver(request: PersonRequest) -> None:
    if not may_reserve(user=request.user):
        raise PermissionDenied("Only teachers and administrators reserve.")


def _form(request: PersonRequest, data: Any, initial: Any = None) -> ReservationForm:
    return ReservationForm(
        data,
        initial=initial,
        groups=groups_reservable(user=request.user),
        images=images_offered(runtimes=runtimes()),
        models=gpu_models(),
        may_go_without=request.user.is_administrator,
        slices=any(pool.is_slice for pool in pools()),
    )


def _usual(request: PersonRequest) -> Any:
    groups = groups_reservable(user=request.user)
    only = groups.get() if groups.count() == 1 else None
    return usual_class(image=images_offered(runtimes=runtimes()).first(), group=only, today=timezone.localdate())


def _page(request: PersonRequest, form: ReservationForm, row: Reservation | None, *, status: int = 200) -> HttpResponse:
    now = timezone.now()
    meetings = meetings_of(reservation=row, now=now) if row else []
    return render(request, "calendar/reserve.html", _verdict(request, form, row) | {"meetings": meetings, "zone": house_zone().key}, status=status)


def _verdict(request: PersonRequest, form: ReservationForm, row: Reservation | None) -> dict[str, Any]:
    """The form with what saving it would do; without a verdict while it is not filled in."""
    if not form.is_bound:  # as it stands: judged like what is sent
        form = _form(request, {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}) if row else form
    context: dict[str, Any] = {"form": form, "reservation": row, "preview": None, "first_error": ""}
    if not form.is_bound:
        return context
    if not form.is_valid():
        return context | {"first_error": first_error(form)}
    preview = class_preview(wish=form.wish, actor=request.user, now=timezone.now(), instead_of=row)
    return context | {"preview": preview, "crossing": _crossing(preview, form)}


def _crossing(preview: ClassPreview, form: ReservationForm) -> int:
    """Labs that run now and could, by their limit, still hold such cards when the first meeting begins."""
    if not preview.times:
        return 0
    start: datetime = preview.times[0].starts_at
    labs = labs_on_cards(start=start, until=start)
    return sum(1 for lab in labs if form.cleaned_data["node"] in (None, lab.node))


def _meeting_page(request: PersonRequest, row: Meeting, *, form: MeetingForm | None = None, status: int = 200) -> HttpResponse:
    user: User = request.user
    now, held = timezone.now(), row.reservation
    member, editor = _is_member(user, row), may_edit(user=user, reservation=held)
    context = {
        "meeting": row,
        "held": held,
        "people": people_count(reservation=held),
        "labs": held.cards // held.gpus,
        "is_open": row.is_open(now),
        "is_over": row.last_moment <= now and not row.cancelled_at,
        "mine": row.labs.filter(owner=user).order_by("-requested_at").first() if member else None,
        "member": member,
        "editor": editor,
        "form": form or MeetingForm(initial=MeetingForm.initial_of(row, house_zone())),
        "roster": class_roster(meeting=row) if editor and not row.cancelled_at and row.opens_at <= now else [],
        "zone": house_zone().key,
    }
    return render(request, "calendar/meeting.html", context, status=status)


def _is_member(user: User, row: Meeting) -> bool:
    try:
        meeting_for_member(user=user, meeting_id=row.pk)
    except Meeting.DoesNotExist:
        return False
    return True


def _act(request: PersonRequest, meeting_id: int, act: Callable[..., object], done: str) -> HttpResponse:
    row = meeting_for_editor(user=request.user, meeting_id=meeting_id)
    try_or_tell(request, lambda: act(meeting=row, actor=request.user, now=timezone.now()), done=done)
    return redirect("meeting", meeting_id=row.pk)
