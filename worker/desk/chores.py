"""What the house has done in a workspace: looking at checkpoints and caches, and removing what their owner wished. Asked in JSON."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from worker.desk import caches
from worker.desk.checkpoints import found_in, thrown_away
from worker.desk.errors import Wrong
from worker.desk.store import Store

Told = dict[str, Any]


class Chores:
    """Those of one workspace."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._acts: dict[str, Callable[[Told], Told]] = {"look": self._look, "throw": self._throw, "clear": self._clear}

    def __call__(self, asked: Told) -> Told:
        """Do what was asked. Raises Wrong."""
        act = self._acts.get(str(asked.get("do")))
        if act is None:
            raise Wrong("This cannot be done here.")
        return act(asked)

    def _look(self, asked: Told) -> Told:
        found, missing, more = found_in(self._store.root, _texts(asked, "folders"))
        return {"found": [asdict(one) for one in found], "missing": missing, "more": more, "caches": caches.sizes(self._store.root, caches.CACHES)}

    def _throw(self, asked: Told) -> Told:
        items = [item for item in asked.get("items", []) if isinstance(item, dict)]
        gone = thrown_away(self._store.root, items, _texts(asked, "folders"))
        self._store.sweep_soon()
        return {"gone": gone}

    def _clear(self, asked: Told) -> Told:
        freed = caches.cleared(self._store.root, _texts(asked, "caches"))
        self._store.room.give(sum(freed.values()))
        return {"freed": freed}


def _texts(asked: Told, name: str) -> list[str]:
    found = asked.get(name, [])
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
