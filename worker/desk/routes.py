"""What each path of the file page does."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from worker.desk import look, pages
from worker.desk.archives import KINDS, stream
from worker.desk.chores import Chores
from worker.desk.errors import Wrong
from worker.desk.http import FILE_POLICY, Chunks, Request, path_of
from worker.desk.listing import SORTS, Entry, View, kind_of, listed
from worker.desk.moves import folder_make, move
from worker.desk.paths import HOUSE, Parts, parts_of
from worker.desk.preview import NOTEBOOK_POLICY, image_type, notebook_html, shown
from worker.desk.sending import disposition, file_send
from worker.desk.store import Store
from worker.desk.trash import ID, purge, restore, throw, thrown
from worker.desk.tus import Tus

STATIC = {"icon.svg": "image/svg+xml", "files.css": "text/css", "files.js": "text/javascript", "vendor/tus/tus.min.js": "text/javascript"}


class Routes:
    """The file page of one workspace."""

    def __init__(self, store: Store, *, base: str, portal: str, node: str, read: Callable[[str], bytes]) -> None:
        self._store, self._portal, self._node, self._read = store, portal, node, read
        self._tus, self._chores = Tus(store.uploads, base), Chores(store)
        self._pages: dict[str, Callable[[Request], None]] = {
            "": self._folder,
            "view": self._view,
            "trash": self._trash,
            "ask": self._ask,
            "raw": self._raw,
            "notebook": self._notebook,
            "archive": self._archive,
            "lab": lambda request: request.nothing(303, {"Location": base}),
            "api/list": self._list,
            "api/there": self._there,
            "api/trash": lambda request: request.json({"items": [asdict(one) for one in thrown(store.root)]}),
            "api/exports": lambda request: request.json({"items": [asdict(one) for one in store.exports.all()]}),
            "api/fetches": lambda request: request.json({"items": [asdict(one) for one in store.fetches.all()]}),
            "fetches": self._fetches,
            "status": self._status,
        }
        self._acts: dict[str, Callable[[dict[str, str]], tuple[str, str]]] = {
            "mkdir": self._mkdir,
            "move": self._move,
            "delete": self._delete,
            "restore": self._restore,
            "purge": self._purge,
            "empty": self._empty,
            "fetch": self._fetch,
            "cancel": self._cancel,
            "send": self._send,
            "send again": self._send_again,
            "send not": self._send_not,
        }

    def __call__(self, request: Request) -> None:
        """Answer."""
        place = request.place
        if place == "upload" or place.startswith("upload/"):
            self._tus(request, place[len("upload") :].lstrip("/"))
        elif request.command == "POST" and place == "act":
            self._act(request)
        elif request.command == "POST" and place == "chore":
            request.json(self._chores(request.object()))
        elif request.command not in ("GET", "HEAD"):
            raise Wrong("This cannot be done here.", HTTPStatus.METHOD_NOT_ALLOWED)
        elif place.startswith("static/"):
            self._static(request, place[len("static/") :])
        else:
            self._page(request, self._pages.get(place))

    def _page(self, request: Request, answer: "Callable[[Request], None] | None") -> None:
        try:
            if answer is None:
                raise Wrong("There is nothing here.", HTTPStatus.NOT_FOUND)
            answer(request)
        except (Wrong, OSError) as error:
            self._tell(request, error, ".")

    def _tell(self, request: Request, error: Exception, back: str) -> None:
        """On a page to a person, as it is to a program."""
        if request.wants_json or request.begun or isinstance(error, (ConnectionError, TimeoutError)):
            raise error
        found = self._store.words(error)
        request.drained()
        request.page(self._whole("That did not work", pages.wrong(found.words, back)), found.status)

    def _whole(self, title: str, body: str) -> bytes:
        return look.page(title, body, portal=self._portal, node=self._node)

    def _folder(self, request: Request) -> None:
        path = _path(request)
        view = _view(request.query)
        listing = listed(self._store.root, parts_of(path), view)
        body = pages.folder(path, listing, view, said=request.query.get("said", ""), under_way=self._under_way(), own=_is_own(path))
        request.page(self._whole(path.rpartition("/")[2] or "Files", body))

    def _view(self, request: Request) -> None:
        path, parts = _path(request), _parts(request)
        state = self._store.root.look(parts)
        if state is None:
            raise FileNotFoundError(2, path)
        entry = Entry(parts[-1] if parts else "", kind_of(state), state.st_size, state.st_mtime)
        preview = None
        if entry.kind == "file":
            with self._store.root.file(parts) as (handle, _):
                preview = shown(handle, entry.name)
        request.page(self._whole(entry.name, pages.file(path, entry, preview, own=_is_own(path))))

    def _trash(self, request: Request) -> None:
        request.page(self._whole("Trash", pages.trash(thrown(self._store.root), request.query.get("said", ""))))

    def _ask(self, request: Request) -> None:
        key = request.query.get("id", "")
        things = thrown(self._store.root)
        one = next((thing.path for thing in things if thing.id == key), "") if ID.fullmatch(key) else ""
        words = f"{one} is deleted." if one else f"All {len(things)} things in the trash are deleted."
        request.page(self._whole("Delete for ever?", pages.ask(words, key if one else "")))

    def _raw(self, request: Request) -> None:
        parts = _parts(request)
        kind = image_type(parts[-1]) if parts and "inline" in request.query else ""
        with self._store.root.file(parts) as (handle, state):
            file_send(request, handle, state, name=parts[-1], kind=kind)

    def _notebook(self, request: Request) -> None:
        with self._store.root.file(_parts(request)) as (handle, _):
            body = notebook_html(handle)
        request.whole(200, body, "text/html; charset=utf-8", {"Content-Security-Policy": NOTEBOOK_POLICY})

    def _archive(self, request: Request) -> None:
        parts, kind = _parts(request), request.query.get("kind", "zip")
        if kind not in KINDS:
            raise Wrong("A folder is downloaded as zip or tar.")
        name = parts[-1] if parts else "workspace"
        with self._store.root.folder(parts) as handle:
            request.head(
                200, {"Content-Type": KINDS[kind], "Transfer-Encoding": "chunked", "Content-Security-Policy": FILE_POLICY, **disposition(f"{name}.{kind}")}
            )
            if request.command != "HEAD":
                sink = Chunks(request)
                stream(handle, name, kind, sink, without="" if parts else HOUSE)  # type: ignore[arg-type]
                sink.end()

    def _list(self, request: Request) -> None:
        request.json(listed(self._store.root, _parts(request), _view(request.query)).plain())

    def _there(self, request: Request) -> None:
        state = self._store.root.look(_parts(request))
        request.json({"kind": kind_of(state) if state else None})

    def _fetches(self, request: Request) -> None:
        request.page("".join(self._under_way()).encode())

    def _under_way(self) -> "list[str]":
        """What is fetched and sent, and how the last ended."""
        return [*map(pages.export_line, self._store.exports.all()[:5]), *map(pages.fetch_line, self._store.fetches.all()[:5])]

    def _status(self, request: Request) -> None:
        busy = request.server.open > 0 or self._store.fetches.busy or self._store.exports.busy
        request.json({"idle_s": 0 if busy else time.monotonic() - request.server.used, "sweep_at": self._store.sweep_at})

    def _static(self, request: Request, name: str) -> None:
        if name not in STATIC:
            raise Wrong("There is nothing here.", HTTPStatus.NOT_FOUND)
        request.whole(200, self._read(name), f"{STATIC[name]}; charset=utf-8", {"Cache-Control": "private, max-age=300"})

    def _act(self, request: Request) -> None:
        back = "."
        try:
            fields = request.form()
            back = f"?path={look.way(_given(fields))}"
            act = self._acts.get(fields.get("do", ""))
            if act is None:
                raise Wrong("This cannot be done here.")
            back, done = act(fields)
        except (Wrong, OSError) as error:
            self._tell(request, error, back)
            return
        if request.wants_json:
            request.json({"done": done, "at": path_of(back.partition("?path=")[2])})
        else:
            mark = "&" if "?" in back else "?"
            request.nothing(303, {"Location": f"{request.server.base}{back}{mark}said={done}"})

    def _mkdir(self, fields: "dict[str, str]") -> "tuple[str, str]":
        where = _given(fields)
        folder_make(self._store.root, parts_of(where), fields.get("name", "").strip())
        return f"?path={look.way(where)}", "made"

    def _move(self, fields: "dict[str, str]") -> "tuple[str, str]":
        what, where = parts_of(_given(fields)), parts_of(fields.get("to", "").strip())
        move(self._store.root, what, where, fields.get("name", "").strip() or (what[-1] if what else ""))
        return _at(where), "moved"

    def _delete(self, fields: "dict[str, str]") -> "tuple[str, str]":
        what = parts_of(_given(fields))
        throw(self._store.root, what)
        self._store.sweep_soon()
        return _at(what[:-1]), "deleted"

    def _restore(self, fields: "dict[str, str]") -> "tuple[str, str]":
        return _at(parts_of(restore(self._store.root, fields.get("id", "")))[:-1]), "restored"

    def _purge(self, fields: "dict[str, str]") -> "tuple[str, str]":
        self._store.room.give(purge(self._store.root, fields.get("id", "")))
        return "trash", "purged"

    def _empty(self, fields: "dict[str, str]") -> "tuple[str, str]":
        for one in thrown(self._store.root):
            with suppress(FileNotFoundError):
                self._store.room.give(purge(self._store.root, one.id))
        return "trash", "emptied"

    def _fetch(self, fields: "dict[str, str]") -> "tuple[str, str]":
        where = parts_of(_given(fields))
        if where[:1] == (HOUSE,):
            raise Wrong("This folder is kept by the house and cannot be changed here.")
        self._store.fetches.start(fields.get("url", ""), "/".join(where))
        return _at(where), "fetching"

    def _cancel(self, fields: "dict[str, str]") -> "tuple[str, str]":
        self._store.fetches.cancel(_number(fields))
        return "?path=", "cancelled"

    def _send(self, fields: "dict[str, str]") -> "tuple[str, str]":
        where = parts_of(_given(fields))
        self._store.exports.start("/".join(where), fields)
        return _at(where), "sending"

    def _send_again(self, fields: "dict[str, str]") -> "tuple[str, str]":
        self._store.exports.again(_number(fields))
        return "?path=", "sending"

    def _send_not(self, fields: "dict[str, str]") -> "tuple[str, str]":
        self._store.exports.cancel(_number(fields))
        return "?path=", "unsent"


def _number(fields: "dict[str, str]") -> int:
    number = fields.get("id", "")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0


def _given(fields: "dict[str, str]") -> str:
    """The path of a form, or of a program."""
    return path_of(fields["way"]) if "way" in fields else fields.get("path", "")


def _path(request: Request) -> str:
    return "/".join(_parts(request))


def _parts(request: Request) -> Parts:
    return parts_of(request.query.get("path", ""))


def _at(parts: Parts) -> str:
    return f"?path={look.way('/'.join(parts))}"


def _is_own(path: str) -> bool:
    return path.partition("/")[0] != HOUSE


def _view(query: "dict[str, Any]") -> View:
    page = query.get("page", "")
    sort = query.get("sort", "")
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1
    return View(sort if sort in SORTS else "name", bool(query.get("down")), bool(query.get("hidden")), number)
