"""Maintenance of nodes: what is planned, for everybody; planning it, for administrators."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from labs.timetable.holdings import house_zone
from labs.timetable.models import Maintenance
from labs.timetable.queries import maintenance_ahead
from labs.timetable.services import maintenance_cancel, maintenance_create
from portal.pages.access import PersonRequest, administrator_required, person_required
from portal.pages.forms.calendar import MaintenanceForm
from portal.pages.telling import try_form, try_or_tell


@require_safe
@person_required
def maintenance(request: PersonRequest) -> HttpResponse:
    """What is planned; with a form for administrators."""
    return _page(request, MaintenanceForm())


@require_POST
@administrator_required
def maintenance_add(request: PersonRequest) -> HttpResponse:
    """Plan one."""
    form = MaintenanceForm(request.POST)
    if try_form(form, lambda: maintenance_create(**form.cleaned_data, actor=request.user, now=timezone.now())):
        messages.success(request, "Planned. Labs that would still run then go elsewhere or wait, and people on the node are told a day ahead.")
        return redirect("maintenance")
    return _page(request, form, status=422)


@require_POST
@administrator_required
def maintenance_off(request: PersonRequest, maintenance_id: int) -> HttpResponse:
    """Call it off, or end it."""
    row = Maintenance.objects.select_related("node").get(pk=maintenance_id)
    try_or_tell(request, lambda: maintenance_cancel(maintenance=row, actor=request.user, now=timezone.now()), done=f"{row.node} takes labs.")
    return redirect("maintenance")


def _page(request: PersonRequest, form: MaintenanceForm, *, status: int = 200) -> HttpResponse:
    context: dict[str, Any] = {"rows": list(maintenance_ahead(now=timezone.now())), "form": form, "zone": house_zone().key}
    return render(request, "calendar/maintenance.html", context, status=status)
