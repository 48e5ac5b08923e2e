"""Approving a program that wants to act for its person, and how to get the command-line program."""

from pathlib import Path

from django.conf import settings
from django.contrib import messages
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from labs.people.devices import code_plain, device_answer
from labs.people.queries import device_waiting
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.account import DeviceForm
from portal.pages.telling import try_form

WHEEL = "gpulab-*.whl"


@require_http_methods(["GET", "HEAD", "POST"])
@person_required
def device(request: PersonRequest) -> HttpResponse:
    """Type or compare the code, see who asks, say yes or no. The address alone approves nothing."""
    form = DeviceForm(request.POST or None, initial={"code": request.GET.get("code", "")[:20]})
    approve = request.POST.get("answer") == "yes"

    def answer() -> None:
        row = device_answer(user=request.user, code=form.cleaned_data["code"], approve=approve, now=timezone.now())
        messages.success(request, f"{row.client} is signed in: go back to it." if approve else f"{row.client} was refused.")

    if request.method == "POST" and try_form(form, answer):
        return redirect("account_tokens")
    asking = device_waiting(code=code_plain(request.POST.get("code", request.GET.get("code", ""))), now=timezone.now())
    status = 422 if form.is_bound and not form.is_valid() else 200
    return render(request, "people/device.html", {"form": form, "asking": asking}, status=status)


@require_safe
@person_required
def command_line(request: PersonRequest) -> HttpResponse:
    """What `gpulab` does, and the one line that installs it."""
    wheel = _wheel()
    address = f"{settings.PORTAL_URL}/cli/{wheel.name}" if wheel else ""
    return render(request, "people/command_line.html", {"address": address, "portal": settings.PORTAL_URL})


@require_safe
def wheel(request: PersonRequest, name: str) -> HttpResponse | FileResponse:
    """The program itself: nothing in it is secret, so that an installer can fetch it without signing in."""
    found = _wheel()
    if found is None or found.name != name:
        raise Http404
    return FileResponse(found.open("rb"), as_attachment=True, filename=found.name, content_type="application/octet-stream")


def _wheel() -> Path | None:
    found = sorted(settings.CLI_FOLDER.glob(WHEEL))
    return found[-1] if found else None
