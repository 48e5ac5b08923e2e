"""Everybody's labs."""

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from labs.lifecycle.queries import labs_all
from portal.pages.access import PersonRequest, administrator_required
from portal.pages.forms.manage import LabFilterForm

PAGE = 50
LIVE = {"live": True, "ended": False, "all": None}


@require_safe
@administrator_required
def manage_labs(request: PersonRequest) -> HttpResponse:
    """All labs, filtered."""
    form = LabFilterForm({"live": "live"} | request.GET.dict())
    data = form.cleaned_data if form.is_valid() else {"live": "live", "text": ""}
    found = labs_all(live=LIVE[data["live"] or "live"], text=data["text"])
    return render(request, "manage/labs.html", {"form": form, "page": Paginator(found, PAGE).get_page(request.GET.get("page"))})
