"""Which messages one gets, and how: the choices, the chat address, a test, and what became of the last ones."""

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from labs.notices.kinds import CHANNELS, kinds_for
from labs.notices.queries import choices_of, notices_of, webhook_of
from labs.notices.services import choices_set, notice_test, webhook_remove, webhook_set
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.account import ChatForm
from portal.pages.telling import try_form, try_or_tell


@require_http_methods(["GET", "HEAD", "POST"])
@person_required
def account_notifications(request: PersonRequest) -> HttpResponse:
    """The page; posted, what is ticked is sent and the rest is not."""
    if request.method == "POST":
        chosen = {kind.code: [channel for channel in request.POST.getlist(kind.code) if channel in CHANNELS] for kind in kinds_for(request.user.role)}
        try_or_tell(request, lambda: choices_set(user=request.user, chosen=chosen, now=timezone.now()), done="Your choice was saved.")
        return redirect("account_notifications")
    return _page(request, ChatForm())


@require_POST
@person_required
def account_chat(request: PersonRequest) -> HttpResponse:
    """Set or replace the chat address; what is wrong with it is said beside it."""
    form = ChatForm(request.POST)

    def save() -> None:
        webhook_set(user=request.user, now=timezone.now(), **form.cleaned_data)

    if not try_form(form, save):
        return _page(request, form, status=422)
    try_or_tell(request, lambda: notice_test(user=request.user, now=timezone.now()), done="The chat address was saved, and a test is on its way.")
    return redirect("account_notifications")


@require_POST
@person_required
def account_chat_remove(request: PersonRequest) -> HttpResponse:
    """Forget the chat address."""
    try_or_tell(request, lambda: webhook_remove(user=request.user, now=timezone.now()), done="The chat address was removed.")
    return redirect("account_notifications")


@require_POST
@person_required
def account_notifications_test(request: PersonRequest) -> HttpResponse:
    """Send a test by every way there is."""
    done = "A test is on its way. Look below in a moment to see what became of it."
    try_or_tell(request, lambda: notice_test(user=request.user, now=timezone.now()), done=done)
    return redirect("account_notifications")


def _page(request: PersonRequest, form: ChatForm, status: int = 200) -> HttpResponse:
    context = {"form": form, "choices": choices_of(user=request.user), "webhook": webhook_of(user=request.user), "notices": notices_of(user=request.user)}
    return render(request, "people/notifications.html", context, status=status)
