"""Callers of the API, each with a bearer token."""

import json
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.test import Client

BASE = "/api/v1"


@dataclass
class Caller:
    """Speaks to the API as one person; `secret` is empty for nobody."""

    secret: str = ""

    def get(self, path: str, **query: Any) -> HttpResponse:
        """GET below /api/v1."""
        return self.client().get(BASE + path, query)

    def post(self, path: str, body: Any = None, *, key: str = "", raw: bytes | None = None) -> HttpResponse:
        """POST JSON below /api/v1; `raw` bytes are sent as they are."""
        headers = {"Idempotency-Key": key} if key else {}
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        return self.client().post(BASE + path, content, content_type="application/json", headers=headers)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        """Any method; `If_Match` and the like are headers."""
        content = b"" if body is None else json.dumps(body).encode()
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client().generic(method, BASE + path, content, content_type="application/json", headers=told)

    def client(self) -> Client:
        """A browserless client that shows the token."""
        headers = {"Authorization": f"Bearer {self.secret}"} if self.secret else {}
        return Client(enforce_csrf_checks=True, headers=headers)
