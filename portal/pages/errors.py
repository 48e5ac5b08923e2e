"""Errors in words: what happened, and what to do next."""

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400."""
    return render(request, "400.html", status=400)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403."""
    return render(request, "403.html", {"words": str(exception or "")}, status=403)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404, also for what exists and is not yours."""
    return render(request, "404.html", status=404)


def closed(request: HttpRequest, **parts: str) -> HttpResponse:
    """404 for a way that a library brings and this house keeps shut."""
    return not_found(request)


def server_error(request: HttpRequest) -> HttpResponse:
    """500; or 503 when the database is away. Uses no query: the database may be what is broken."""
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        response = render(request, "503.html", {"user": None, "messages": []}, status=503)
        response["Retry-After"] = "10"
        return response
    return render(request, "500.html", {"user": None, "messages": []}, status=500)
