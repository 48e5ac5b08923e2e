"""The catalogue: adding and retiring images."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from labs.catalogue.models import Image
from labs.catalogue.queries import images_all
from labs.catalogue.services import image_active_set, image_add
from labs.fleet.models import NodeImage
from labs.fleet.queries import image_progress
from labs.fleet.services import image_bring
from labs.making.services import making_dockerfile
from portal.pages.access import PersonRequest, administrator_required
from portal.pages.forms.images_own import DockerfileForm
from portal.pages.forms.manage import ImageForm
from portal.pages.telling import try_form


@require_http_methods(["GET", "HEAD", "POST"])
@administrator_required
def manage_images(request: PersonRequest) -> HttpResponse:
    """Every image, also retired ones; posted, one more."""
    form = ImageForm(request.POST or None)
    if request.method == "POST" and try_form(form, lambda: _add(request, form)):
        return redirect("manage_images")
    return _page(request, form, DockerfileForm(), status=422 if form.is_bound else 200)


@require_POST
@administrator_required
def manage_image_dockerfile(request: PersonRequest) -> HttpResponse:
    """Build one from a Dockerfile, on a node's engine."""
    form, made = DockerfileForm(request.POST), []
    if try_form(form, lambda: made.append(making_dockerfile(**form.cleaned_data, actor=request.user, now=timezone.now()))):
        return redirect("making", made[0].pk)
    return _page(request, ImageForm(), form, status=422)


def _page(request: PersonRequest, form: ImageForm, dockerfile: DockerfileForm, *, status: int) -> HttpResponse:
    where: dict[int, list[NodeImage]] = {}
    for row in image_progress():
        where.setdefault(row.image_id, []).append(row)
    rows = [(image, nodes := where.get(image.pk, []), _ask(image, nodes), _busy(nodes)) for image in images_all()]
    return render(request, "manage/images.html", {"form": form, "dockerfile": dockerfile, "rows": rows}, status=status)


def _ask(image: Image, nodes: list[NodeImage]) -> str:
    """What the nodes can be asked for: nothing while all is well or under way."""
    if not image.is_active:
        return ""
    failed = any(row.state == NodeImage.State.FAILED for row in nodes)
    return "Try again" if failed else "" if nodes else "Prepare it"


def _busy(nodes: list[NodeImage]) -> bool:
    """Is a node preparing it?"""
    return any(row.state == NodeImage.State.PULLING for row in nodes)


def _add(request: PersonRequest, form: ImageForm) -> None:
    now = timezone.now()
    image = image_add(**form.cleaned_data, actor=request.user, now=now)
    _told(request, image, image_bring(image=image, actor=request.user, now=now))


@require_POST
@administrator_required
def manage_image_bring(request: PersonRequest, image_id: int) -> HttpResponse:
    """Have the nodes try again."""
    image = Image.objects.get(pk=image_id)
    _told(request, image, image_bring(image=image, actor=request.user, now=timezone.now()))
    return redirect("manage_images")


def _told(request: PersonRequest, image: Image, nodes: int) -> None:
    words = f"{nodes} node{'s' if nodes != 1 else ''} prepare{'s' if nodes == 1 else ''} it now." if nodes else "No node is left to prepare it."
    messages.success(request, f"{image}: {words}")


@require_POST
@administrator_required
def manage_image_active(request: PersonRequest, image_id: int) -> HttpResponse:
    """Offer an image, or retire it."""
    image = Image.objects.get(pk=image_id)
    offered = request.POST.get("offered") == "yes"
    image_active_set(image=image, is_active=offered, actor=request.user, now=timezone.now())
    messages.success(request, f"{image} is {'offered' if offered else 'retired; running labs are not touched'}.")
    return redirect("manage_images")
