"""What one process of a run does with secrets: each that it makes is noted, and so is where a secret must never be.

It begins where an environment's Python starts (tools/test.py sees to that). Looked at are what a process logs, what it answers to browsers and programs,
what it writes into any column, and what it asks of a container engine. Everything is written below WITNESS_FOLDER; `tests.support.leaks` searches it when
the run is over. Knows the house by the names of its functions alone, and imports nothing of it: a process that does without Django is none the heavier.
"""

import importlib.util
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ.get("WITNESS_FOLDER", "/nonexistent"))
SECRETS = "secrets"
#: Nothing shorter is searched for: it would be found by chance.
SHORTEST = 16
#: Of each sort a process notes as many; a sweep makes many thousands that all go one way.
MOST_OF_A_KIND = 20_000
#: What could be a secret, or hold one.
LONG = re.compile(r"""[^\s<>"'{}(),;:&]{16}""")
#: A page's own mark against forged requests: new each time, and no secret.
OF_THE_PAGE = "csrfmiddlewaretoken"
#: So many pieces of answers a process remembers; then it begins anew.
MOST_REMEMBERED = 400_000
#: The installation's own, which every process is started with.
OF_THE_INSTALLATION = ("GPULAB_SECRET_KEY", "GPULAB_REDIS_PASSWORD")
_noted: set[str] = set()
_kinds: Counter[str] = Counter()
_remembered: set[int] = set()
_here = threading.local()


def keep(place: str, text: str) -> None:
    """Add to a file of the run. A process that may not write there has nothing to tell."""
    try:
        path = FOLDER / place
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, text.encode(errors="replace") + b"\n")
        finally:
            os.close(handle)
    except OSError:
        return


def keep_new(place: str, text: str) -> None:
    """Of an answer, every piece in which there could be a secret and that this process has not kept there before: all of it is searched, and little kept."""
    if len(_remembered) > MOST_REMEMBERED:
        _remembered.clear()
    new = []
    for piece in text.replace(">", ">\n").replace(",", ",\n").splitlines():
        key = hash((place, piece))
        if key not in _remembered:
            _remembered.add(key)
            if LONG.search(piece) and OF_THE_PAGE not in piece:
                new.append(piece)
    if new:
        keep(place, "\n".join(new))


def secret_noted(kind: str, text: str) -> None:
    """It was made, and is to be found nowhere."""
    if len(text) < SHORTEST or text in _noted or _kinds[kind] >= MOST_OF_A_KIND:
        return
    _noted.add(text)
    _kinds[kind] += 1
    keep(SECRETS, f"{kind}\t{text}")


def begin() -> None:
    """Watch this process from now on."""
    for name in OF_THE_INSTALLATION:
        secret_noted("installation", os.environ.get(name, ""))
    sys.meta_path.insert(0, Watcher())
    _logging()


class Watcher(MetaPathFinder):
    """Puts what watches around functions as their modules are loaded."""

    def __init__(self) -> None:
        self.looking: set[str] = set()

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name not in MODULES or name in self.looking:
            return None
        self.looking.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.looking.discard(name)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def loaded(module: Any) -> None:
            load(module)
            MODULES[name](module)

        spec.loader.exec_module = loaded  # type: ignore[method-assign]
        return spec


def around(where: Any, name: str, after: Callable[[Any, tuple[Any, ...], dict[str, Any]], None]) -> None:
    """`after(result, arguments, named)` follows each call of where.name."""
    inner = getattr(where, name)

    def called(*arguments: Any, **named: Any) -> Any:
        result = inner(*arguments, **named)
        after(result, arguments, named)
        return result

    setattr(where, name, called)


def makes(kind: str, name: str, read: Callable[[Any], str] = str) -> Callable[[Any], None]:
    """A module whose function of that name makes secrets."""
    return lambda module: around(module, name, lambda result, *_: secret_noted(kind, read(result)))


def _bearer(module: Any) -> None:
    around(module, "secret_new", lambda result, *_: secret_noted(f"token {result[:4]}" if re.match(r"gp\w_", result) else "token", result))


def _derived(module: Any) -> None:
    around(module, "upstream_token", lambda result, *_: secret_noted("upstream", result))
    around(module, "gateway_key", lambda result, *_: [secret_noted("key of the gateway", line) for line in result.decode().splitlines()[2:-1]])


def _people(module: Any) -> None:
    around(module, "reset_link_create", lambda result, *_: secret_noted("reset link", result[1]))


def _joined(module: Any) -> None:
    """The passwords of a node, out of the addresses that it is given."""
    around(
        module,
        "node_join",
        lambda made, *_: [secret_noted("node", found) for value in made.settings.values() for found in re.findall(r"://[^:/@]*:([^@]{16,})@", value)],
    )


def _passwords(module: Any) -> None:
    def said(_: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        secret_noted("password", (arguments[1:2] or (named.get("raw_password"),))[0] or "")

    around(module.AbstractBaseUser, "set_password", said)


def _sessions(module: Any) -> None:
    around(module.SessionBase, "_get_new_session_key", lambda result, *_: secret_noted("session", result))


def _logging() -> None:
    import logging

    plain = logging.Formatter("%(levelname)s %(name)s: %(message)s")

    def told(_: Any, arguments: tuple[Any, ...], __: Any) -> None:
        if getattr(_here, "telling", False):
            return
        _here.telling = True
        try:
            keep(f"logs/process-{os.getpid()}", plain.format(arguments[1]))
        except Exception:  # a line that cannot be written is its own handlers' to tell
            return
        finally:
            _here.telling = False

    around(logging.Logger, "callHandlers", told)


def _answered(module: Any) -> None:
    """Django's answers, by the way that they came."""

    def kept(request: Any, response: Any) -> None:
        if request is None:
            return
        way = getattr(getattr(request, "resolver_match", None), "route", "") or "no-way"
        slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", way).strip("-") or "home"
        place = f"pages/{request.method}.{slug}"
        if not response.streaming:
            keep_new(place, response.content.decode(errors="replace"))
        elif not response.is_async and not hasattr(response, "file_to_stream"):
            response.streaming_content = _passing(place, response.streaming_content)

    def followed(response: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        kept((arguments[1:2] or (named.get("request"),))[0], response)

    around(module.BaseHandler, "get_response", followed)
    inner = module.BaseHandler.get_response_async

    async def asked(self: Any, request: Any) -> Any:
        response = await inner(self, request)
        kept(request, response)
        return response

    module.BaseHandler.get_response_async = asked


def _passing(place: str, chunks: Any) -> Iterator[bytes]:
    """What is sent piece by piece, kept as it goes by."""
    for chunk in chunks:
        keep_new(place, chunk.decode(errors="replace"))
        yield chunk


def _live(module: Any) -> None:
    """What open pages are sent."""
    inner = module.Viewer.take

    async def taken(self: Any) -> Any:
        texts = await inner(self)
        for text in texts:
            keep_new("pages/live", text)
        return texts

    module.Viewer.take = taken


def _written(module: Any) -> None:
    """What goes into columns: the values of each statement that writes, by its table."""
    writes = re.compile(r'\s*(?:INSERT(?:\s+OR\s+\w+)?\s+INTO|UPDATE)\s+"?(\w+)', re.IGNORECASE)

    def seen(_: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        _, sql, values = (*arguments, None)[:3]
        found = writes.match(sql) if isinstance(sql, str) else None
        if found and values and (text := "\n".join(_long(values))):
            keep(f"columns/{found[1]}", text)

    around(module.CursorWrapper, "_execute_with_wrappers", seen)


def _long(values: Any) -> list[str]:
    """Texts in which there could be a secret."""
    many = values.values() if isinstance(values, dict) else values
    flat = [inner for value in many for inner in (value if isinstance(value, list | tuple) else (value,))]
    return [text for text in (value if isinstance(value, str) else str(getattr(value, "obj", "")) for value in flat) if LONG.search(text)]


def _engine(module: Any) -> None:
    """What a container is made of, as the engine is told it and shows it ever after."""

    def posted(_: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        if "/containers/create" in str(arguments[1]):
            keep("inspect/asked", repr((arguments[2:], named)))

    around(module.APIClient, "_post_json", posted)


MODULES: dict[str, Callable[[Any], None]] = {
    "labs.bus.secrets": _bearer,
    "labs.lifecycle.tokens": _derived,
    "labs.lifecycle.passes": makes("pass", "mint"),
    "labs.people.services": _people,
    "labs.enrolment.services": _joined,
    "portal.live.viewer": _live,
    "worker.relay.pages": lambda module: around(module, "_html", lambda page, *_: keep_new("pages/relay", page)),
    "labs.webhooks.services": makes("webhook", "signing_secret", lambda made: str(made).removeprefix("whsec_")),
    "django.contrib.auth.base_user": _passwords,
    "django.contrib.sessions.backends.base": _sessions,
    "allauth.mfa.totp.internal.auth": makes("second factor", "generate_totp_secret"),
    "django.core.handlers.base": _answered,
    "django.db.backends.utils": _written,
    "docker.api.client": _engine,
}
