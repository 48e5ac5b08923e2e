"""What administrators tell everybody: making and withdrawing it, and the reader's putting it away."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labs.announcements.queries import announcements_all
from labs.announcements.services import announcement_make, announcement_withdraw
from portal.banners import banners_changed
from portal.pages.access import PersonRequest, administrator_required, person_required
from portal.pages.forms.announcements import AnnouncementForm
from portal.pages.telling import try_form

HIDDEN = "announcements_hidden"
SHOWN = 30
#: More than that is not remembered: the oldest are over by then.
REMEMBERED = 50


@require_http_methods(["GET", "HEAD", "POST"])
@administrator_required
def manage_announcements(request: PersonRequest) -> HttpResponse:
    """The form, and what was announced; posted, one more."""
    now = timezone.now()
    form = AnnouncementForm(request.POST or None)
    if request.method == "POST" and try_form(form, lambda: announcement_make(**form.cleaned_data, actor=request.user, now=now)):
        banners_changed()
        messages.success(request, "It stands on the pages now.")
        return redirect("manage_announcements")
    rows = [(row, row.stands(now)) for row in announcements_all()[:SHOWN]]
    return render(request, "manage/announcements.html", {"form": form, "rows": rows}, status=422 if form.is_bound else 200)


@require_POST
@administrator_required
def manage_announcement_withdraw(request: PersonRequest, announcement_id: int) -> HttpResponse:
    """Show it no more."""
    if announcement_withdraw(announcement_id=announcement_id, actor=request.user, now=timezone.now()):
        messages.success(request, "It is withdrawn.")
    else:
        messages.info(request, "It was over already.")
    banners_changed()
    return redirect("manage_announcements")


@require_POST
@person_required
def announcement_hide(request: PersonRequest, announcement_id: int) -> HttpResponse:
    """Put it away for this sign-in, and back to where one was."""
    hidden = [*request.session.get(HIDDEN, []), announcement_id]
    request.session[HIDDEN] = hidden[-REMEMBERED:]
    back = request.headers.get("Referer", "")
    return redirect(back if url_has_allowed_host_and_scheme(back, {request.get_host()}) else "home")


@require_safe
@person_required
def announcements(request: PersonRequest) -> HttpResponse:
    """The banners alone, for pages that stay open."""
    return render(request, "_announcements.html")
