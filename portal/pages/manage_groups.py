"""The tree of organisations, teams and courses."""

from django.contrib import messages
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from labs.people.models import Group
from labs.people.queries import groups_tree
from labs.people.services import group_create
from portal.pages.access import PersonRequest, administrator_required
from portal.pages.forms.manage import GroupForm
from portal.pages.telling import try_form


@require_http_methods(["GET", "HEAD", "POST"])
@administrator_required
def manage_groups(request: PersonRequest) -> HttpResponse:
    """The tree with its heads counted; posted, one more node."""
    form = GroupForm(request.POST or None)
    if request.method == "POST" and try_form(form, lambda: group_create(**form.cleaned_data, actor=request.user, now=timezone.now())):
        messages.success(request, "The group was added.")
        return redirect("manage_groups")
    heads = dict(Group.objects.order_by().values_list("pk").annotate(n=Count("memberships")))
    rows = [(depth, group, heads.get(group.pk, 0)) for depth, group in groups_tree()]
    return render(request, "manage/groups.html", {"form": form, "rows": rows}, status=422 if form.is_bound else 200)
