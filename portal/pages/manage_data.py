"""Data sets, for administrators: registering versions, who may use them, where they are, retiring them."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from labs.datasets.queries import data_set_by_id, data_sets_all
from labs.datasets.services import NewData, data_set_groups_set, data_set_look_ask, data_set_register, data_set_retire
from labs.people.models import Group
from portal.pages.access import PersonRequest, administrator_required
from portal.pages.forms.data import DataForm
from portal.pages.numbers import row_numbers
from portal.pages.telling import try_form


@require_http_methods(["GET", "HEAD", "POST"])
@administrator_required
def manage_data(request: PersonRequest) -> HttpResponse:
    """Every version with its state on each node; posted, one more."""
    form = DataForm(request.POST or None)

    def register() -> None:
        values = dict(form.cleaned_data)
        groups = list(values.pop("groups"))
        data_set_register(new=NewData(**values), groups=groups, actor=request.user, now=timezone.now())

    if request.method == "POST" and try_form(form, register):
        messages.success(request, "The data set was registered. Each node reads it whole first; labs that start after that see it.")
        return redirect("manage_data")
    context = {"form": form, "rows": data_sets_all(), "groups": Group.objects.all()}
    return render(request, "manage/data.html", context, status=422 if form.is_bound else 200)


@require_POST
@administrator_required
def manage_data_groups(request: PersonRequest, data_set_id: int) -> HttpResponse:
    """Who may use it from now on."""
    row = data_set_by_id(data_set_id=data_set_id)
    groups = list(Group.objects.filter(pk__in=row_numbers(request.POST.getlist("groups"))))
    data_set_groups_set(data_set=row, groups=groups, actor=request.user, now=timezone.now())
    messages.success(request, f"{row} is for {', '.join(map(str, groups)) or 'everybody'} now. Running labs keep what they have.")
    return redirect("manage_data")


@require_POST
@administrator_required
def manage_data_look(request: PersonRequest, data_set_id: int) -> HttpResponse:
    """Have the nodes look again."""
    row = data_set_by_id(data_set_id=data_set_id)
    data_set_look_ask(data_set=row, actor=request.user, now=timezone.now())
    messages.success(request, f"Every node looks at {row} again. A large one takes as long as reading it does.")
    return redirect("manage_data")


@require_POST
@administrator_required
def manage_data_retire(request: PersonRequest, data_set_id: int) -> HttpResponse:
    """Retire it, or offer it again."""
    row, retired = data_set_by_id(data_set_id=data_set_id), request.POST.get("retired") == "yes"
    data_set_retire(data_set=row, retired=retired, actor=request.user, now=timezone.now())
    messages.success(request, f"{row} is retired: no new lab sees it, and its files stay." if retired else f"{row} is offered again.")
    return redirect("manage_data")
