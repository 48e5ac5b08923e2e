"""Where people's workspaces are on this host, for whoever carries one to another."""

from pathlib import Path
from typing import Protocol


class Places(Protocol):
    """Both verbs may be called twice, and raise RuntimeFault in words."""

    def folder(self, name: str, *, make: bool) -> Path | None:
        """The workspace's folder; None where there is none, unless it is to be made. A fault where this process cannot reach it."""
        ...

    def drop(self, name: str) -> None:
        """Forget the workspace if nothing is in it."""
        ...
