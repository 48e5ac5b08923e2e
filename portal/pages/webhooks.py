"""One's webhooks: which address is called, what became of the last calls, a test."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from labs.webhooks.queries import calls_recent, hook_for_owner, hooks_of
from labs.webhooks.services import hook_change, hook_create, hook_remove, hook_test
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.webhooks import HookForm
from portal.pages.telling import try_form, try_or_tell

SECRET = "hook_secret"


@require_http_methods(["GET", "HEAD", "POST"])
@person_required
def account_webhooks(request: PersonRequest) -> HttpResponse:
    """The list and the form; posted, one more, whose secret is shown once on the page that follows."""
    form = HookForm(request.POST or None, user=request.user)

    def add() -> None:
        data = form.cleaned_data
        wish = {name: data[name] for name in ("name", "url", "events")}
        _, request.session[SECRET] = hook_create(owner=request.user, everyone=bool(data.get("everyone")), now=timezone.now(), **wish)

    if request.method == "POST" and try_form(form, add):
        return redirect("account_webhooks")
    context = {
        "form": form,
        "hooks": hooks_of(user=request.user),
        "calls": calls_recent(user=request.user),
        "secret": request.session.pop(SECRET, None),
    }
    return render(request, "people/webhooks.html", context, status=422 if form.is_bound and not form.is_valid() else 200)


@require_POST
@person_required
def account_webhook_test(request: PersonRequest, hook_id: int) -> HttpResponse:
    """Send a call that says nothing."""
    row = hook_for_owner(user=request.user, hook_id=hook_id)
    try_or_tell(request, lambda: hook_test(hook=row, now=timezone.now()), done="A test is on its way. Look below in a moment to see what was answered.")
    return redirect("account_webhooks")


@require_POST
@person_required
def account_webhook_pause(request: PersonRequest, hook_id: int) -> HttpResponse:
    """Pause it, or let it go on."""
    row = hook_for_owner(user=request.user, hook_id=hook_id)
    hook_change(hook=row, paused=request.POST.get("paused") == "yes", now=timezone.now())
    messages.success(request, f"{row} is {'paused' if row.paused else 'called again'}.")
    return redirect("account_webhooks")


@require_POST
@person_required
def account_webhook_remove(request: PersonRequest, hook_id: int) -> HttpResponse:
    """Forget it."""
    row = hook_for_owner(user=request.user, hook_id=hook_id)
    try_or_tell(request, lambda: hook_remove(hook=row, now=timezone.now()), done=f"{row} was removed.")
    return redirect("account_webhooks")
