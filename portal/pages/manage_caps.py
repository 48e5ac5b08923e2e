"""Caps of whole groups, and windows in which limits are wider: both stand on the quota page."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from labs.lifecycle.allowances import load_now
from labs.people.models import Group
from labs.policy.models import LimitWindow
from labs.policy.preview import group_preview, window_preview
from labs.policy.services import group_limits_clear, group_limits_set, window_add, window_remove
from portal.pages.access import PersonRequest, administrator_required
from portal.pages.forms.quota import GroupCapsForm, GroupChoiceForm, WindowForm
from portal.pages.manage_quotas import holdings_at, quotas_page, save_or_ask
from portal.pages.telling import try_form


@require_POST
@administrator_required
def manage_group_add(request: PersonRequest) -> HttpResponse:
    """Begin a group's row: nothing is capped yet."""
    form = GroupChoiceForm(request.POST)

    def add() -> None:
        group_limits_set(group=form.cleaned_data["group"], values={"weight": 1}, actor=request.user, now=timezone.now())

    if not try_form(form, add):
        return quotas_page(request, group_form=form, status=422)
    messages.success(request, f"{form.cleaned_data['group']} has a row now. Fill in what its members may hold together.")
    return redirect("/manage/quotas/#groups")


@require_POST
@administrator_required
def manage_group_caps(request: PersonRequest, group_id: int) -> HttpResponse:
    """One group's row."""
    group, now = Group.objects.get(pk=group_id, limits__isnull=False), timezone.now()
    form = GroupCapsForm(request.POST, auto_id=f"g{group_id}_%s")
    if not form.is_valid():
        return quotas_page(request, caps_form=(group_id, form), status=422)

    def change() -> None:
        group_limits_set(group=group, values=form.values, actor=request.user, now=now)

    preview = group_preview(group=group, caps=form.caps, holdings=holdings_at(now))
    return save_or_ask(request, form, f"Caps of {group}", preview, change, caps_form=(group_id, form))


@require_POST
@administrator_required
def manage_group_clear(request: PersonRequest, group_id: int) -> HttpResponse:
    """No caps for a group any more."""
    group = Group.objects.get(pk=group_id)
    group_limits_clear(group=group, actor=request.user, now=timezone.now())
    messages.success(request, f"{group} as a whole has no cap any more.")
    return redirect("/manage/quotas/#groups")


@require_POST
@administrator_required
def manage_window_add(request: PersonRequest) -> HttpResponse:
    """One more window."""
    form, now = WindowForm(request.POST), timezone.now()
    if not form.is_valid():
        return quotas_page(request, window_form=form, status=422)

    def change() -> None:
        window_add(values=form.values, actor=request.user, now=now)

    added = LimitWindow(**form.values)
    preview = window_preview(added=added, holdings=holdings_at(now), now=now, load=load_now())
    return save_or_ask(request, form, str(added), preview, change, window_form=form)


@require_POST
@administrator_required
def manage_window_remove(request: PersonRequest, window_id: int) -> HttpResponse:
    """One window less."""
    row, now = LimitWindow.objects.select_related("group").get(pk=window_id), timezone.now()

    def change() -> None:
        window_remove(window_id=window_id, actor=request.user, now=now)

    preview = window_preview(removed=row, holdings=holdings_at(now), now=now, load=load_now())
    return save_or_ask(request, None, f"Without {row}", preview, change)
