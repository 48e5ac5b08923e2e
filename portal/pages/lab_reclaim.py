"""What a person says about a lab whose cards may be taken back: wait again afterwards, or not."""

from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from labs.lifecycle.queries import lab_for_owner
from labs.lifecycle.reclaims import lab_requeue_set
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.reclaim import RequeueForm
from portal.pages.telling import try_or_tell


@require_POST
@person_required
def lab_requeue(request: PersonRequest, lab_id: str) -> HttpResponse:
    """Queue it again when its cards are taken back, or not."""
    lab = lab_for_owner(user=request.user, lab_id=lab_id)
    form = RequeueForm(request.POST)
    again = form.is_valid() and form.cleaned_data["requeue"]
    done = f"{lab.name} waits again if its GPUs are taken back." if again else f"{lab.name} ends for good if its GPUs are taken back."
    try_or_tell(request, lambda: lab_requeue_set(lab=lab, requeue=again, actor=request.user, now=timezone.now()), done=done)
    return redirect("lab", lab_id=lab_id)
