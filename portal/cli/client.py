"""The API as a few calls. What it refuses comes back as a Fault with its words; reads are tried again when the line breaks."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx

from . import __version__
from .config import Account, account_load
from .faults import MISSING, REFUSED, SIGN_IN, UNREACHABLE, Fault

CODES = {401: SIGN_IN, 404: MISSING}
TIMEOUT_S = 30.0
#: Of a read: a laptop changes its network, a portal restarts.
TRIES = 3


class Api:
    """One portal as one person, or as nobody for the sign-in."""

    def __init__(self, url: str, token: str = "") -> None:
        headers = {"User-Agent": f"gpulab/{__version__}"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self.url = url
        self._http = httpx.Client(base_url=f"{url}/api/v1", headers=headers, timeout=TIMEOUT_S, transport=httpx.HTTPTransport(retries=2))

    def get(self, path: str, **query: Any) -> Any:
        """One answer."""
        params = {name: value for name, value in query.items() if value is not None}
        return self._ask(TRIES, "GET", path, params=params or None)  # httpx takes none at all as the wish for a path without a query

    def all(self, path: str, **query: Any) -> Iterator[Any]:
        """Every item of a list, page after page."""
        answer = self.get(path, **query)
        while True:
            yield from answer["items"]
            if not answer.get("next"):
                return
            answer = self.get(answer["next"].partition("/api/v1")[2])

    def post(self, path: str, body: Any = None, *, once: bool = False) -> Any:
        """Send; with `once` under a key of its own, so that sending it again after a broken line makes nothing twice."""
        return self.send("POST", path, body, once=once)

    def send(self, method: str, path: str, body: Any = None, *, once: bool = False) -> Any:
        """Any method."""
        headers = {"Idempotency-Key": str(uuid4())} if once else {}
        return self._ask(TRIES if once else 1, method, path, json=body, headers=headers)

    def _ask(self, tries: int, method: str, path: str, **parts: Any) -> Any:
        """Send up to so many times while the line breaks."""
        while True:
            tries -= 1
            try:
                return self._answer(self._http.request(method, path, **parts))
            except httpx.TransportError as error:
                if tries <= 0:
                    words = f"{self.url} does not answer ({error}). Is the address right, and are you on the network that reaches it?"
                    raise Fault(words, code=UNREACHABLE) from error

    def _answer(self, answer: httpx.Response) -> Any:
        strange = f"{self.url} answered {answer.status_code}, and not as a portal does."
        if answer.is_success:
            try:
                return answer.json() if answer.content else None
            except ValueError as error:  # somebody stands between, such as a network that wants a sign-in of its own
                raise Fault(strange, code=UNREACHABLE, more={"status": answer.status_code}) from error
        try:
            problem = answer.json()
            words, more = str(problem["detail"]), problem
        except (ValueError, KeyError, TypeError):
            words, more = strange, {"status": answer.status_code}
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            words = f"Your sign-in has ended. Run: gpulab login {self.url}"
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            words += f" (asked again too soon; wait {answer.headers.get('Retry-After', 'a few')} s)"
        code = UNREACHABLE if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR else CODES.get(answer.status_code, REFUSED)
        raise Fault(words, code=code, more=more)


def api() -> Api:
    """The API as whoever is signed in."""
    account: Account = account_load()
    return Api(account.url, account.token)


def lab_find(client: Api, name: str) -> dict[str, Any]:
    """One's lab by name or id; of several of that name the one that lives, else the newest."""
    found = [lab for lab in client.all("/labs", live=True) if name in (lab["name"], lab["id"])]
    if not found:
        found = [lab for lab in client.get("/labs", live=False)["items"] if name in (lab["name"], lab["id"])]
    if not found:
        raise Fault(f"You have no lab {name!r}. `gpulab ls` lists yours.", code=MISSING)
    lab: dict[str, Any] = found[0]
    return lab
