"""Who may see a page. What a person may not see does not exist for them; what they lack the role for says so."""

from collections.abc import Callable
from functools import wraps
from typing import cast

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest, ObjectDoesNotExist, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.cache import add_never_cache_headers

from labs.people.models import User

View = Callable[..., HttpResponse]


class PersonRequest(HttpRequest):
    """A request of somebody who has signed in."""

    user: User


def person_required(view: View) -> View:
    """Send strangers to the sign-in page, refuse what no record can hold, turn missing rows into 404, and keep the answer out of every cache."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if not request.user.is_authenticated:
            return _to_login(request)
        if _illegible(request):
            raise BadRequest("A NUL is in no text that anybody types.")
        try:
            response = view(request, *args, **kwargs)
        except ObjectDoesNotExist as missing:
            raise Http404 from missing
        add_never_cache_headers(response)
        return response

    return guarded


def administrator_required(view: View) -> View:
    """For administrators; others are told that they are not."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if not cast("PersonRequest", request).user.is_administrator:
            raise PermissionDenied("This part is for administrators.")
        return view(request, *args, **kwargs)

    return person_required(guarded)


def _to_login(request: HttpRequest) -> HttpResponse:
    """A fragment cannot show the sign-in page, so htmx is told to load the whole page anew."""
    if request.headers.get("HX-Request"):
        return HttpResponse(status=401, headers={"HX-Refresh": "true"})
    return redirect_to_login(request.get_full_path())


def _illegible(request: HttpRequest) -> bool:
    """Does the address or the form hold a NUL? PostgreSQL takes none, and not every value goes through a form that refuses it."""
    return any("\0" in value for sent in (request.GET, request.POST) for _, values in sent.lists() for value in values)
