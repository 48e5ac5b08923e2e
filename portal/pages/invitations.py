"""Accepting an invitation: the one page where an account makes itself."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from labs.people.queries import invitation_by_secret
from labs.people.services import invitation_accept
from portal.pages.forms.account import InvitationForm
from portal.pages.telling import try_form


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def invitation(request: HttpRequest, secret: str) -> HttpResponse:
    """Name and password; posted, the account. A link that was used or is too old says so."""
    found = invitation_by_secret(secret=secret, now=timezone.now())
    if found is None:
        return render(request, "people/invitation_gone.html", status=410)
    form = InvitationForm(request.POST or None)

    def accept() -> None:
        data = form.cleaned_data
        invitation_accept(secret=secret, display_name=data["display_name"], password=data["password"], now=timezone.now())

    if request.method == "POST" and try_form(form, accept):
        messages.success(request, "Your account is ready. Sign in with your e-mail address and the password that you chose.")
        return redirect("account_login")
    return render(request, "people/invitation.html", {"form": form, "invitation": found}, status=422 if form.is_bound else 200)
