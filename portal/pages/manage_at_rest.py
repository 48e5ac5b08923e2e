"""Where labs of a group, and labs with a data set, may start: everywhere, or only where workspaces lie encrypted. What it touches is shown before."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from labs.datasets.models import DataSet
from labs.datasets.services import data_set_encrypted_set
from labs.lifecycle.at_rest import touched_by_data, touched_by_group
from labs.people.encrypting import group_encrypted_set
from labs.people.models import Group
from portal.pages.access import PersonRequest, administrator_required


@require_http_methods(["GET", "HEAD", "POST"])
@administrator_required
def manage_group_at_rest(request: PersonRequest, group_id: int) -> HttpResponse:
    """A group's; posted, changed."""
    group = get_object_or_404(Group, pk=group_id)
    if request.method == "POST":
        strict = request.POST.get("encrypted_only") == "yes"
        group_encrypted_set(group=group, encrypted_only=strict, actor=request.user, now=timezone.now())
        messages.success(request, f"Labs of the {group.words} start {_where(strict)} from now on. What runs goes on.")
        return redirect("manage_groups")
    return _page(request, {"group": group, "strict": group.encrypted_only, "touched": touched_by_group(group=group)})


@require_http_methods(["GET", "HEAD", "POST"])
@administrator_required
def manage_data_at_rest(request: PersonRequest, data_set_id: int) -> HttpResponse:
    """A data set's; posted, changed."""
    row = get_object_or_404(DataSet, pk=data_set_id)
    if request.method == "POST":
        strict = request.POST.get("encrypted_only") == "yes"
        data_set_encrypted_set(data_set=row, encrypted_only=strict, actor=request.user, now=timezone.now())
        messages.success(request, f"Labs see {row} {_where(strict)} from now on. Running labs keep what they have.")
        return redirect("manage_data")
    return _page(request, {"data_set": row, "strict": row.encrypted_only, "touched": touched_by_data(data_set=row)})


def _where(strict: bool) -> str:
    return "only on nodes whose workspaces lie encrypted" if strict else "on every node"


def _page(request: PersonRequest, context: dict[str, Any]) -> HttpResponse:
    return render(request, "manage/at_rest.html", context)
