"""Opening one's files: a click wishes the page of one's workspace open, and leads to its own origin. Nobody opens another's."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from labs.files.services import desk_ask
from labs.people.errors import Refused
from labs.people.models import User
from portal.entry.views import handed_over


@require_POST
@login_required
@never_cache
def files_open(request: HttpRequest) -> HttpResponse:
    """POST: take the person to their files on a node."""
    if not isinstance(request.user, User):
        raise Http404
    try:
        desk = desk_ask(user=request.user, node_id=request.POST.get("node", ""), now=timezone.now())
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect("files")
    return handed_over(request, lab_id=desk.pk, user=request.user, role="owner", path="")
