"""JupyterLab, as `python3 -m jupyterlab` starts it, sooner: what it imports and a start does not use is loaded at its first use.

It is run as a file of its own, so that no file of the workspace (queue.py, random.py) is found in place of Python's.
"""

import gc
import sys
from importlib.machinery import PathFinder
from importlib.util import LazyLoader

#: Clients of other servers (a gateway, listings of extensions), and the dates of a format that no schema here has.
LATER = {"arrow", "requests", "websocket"}


class Later:
    """Finds those, and has them executed when something of theirs is asked for."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """A module's place; None for all others, which Python finds."""
        found = PathFinder.find_spec(name, path, target) if name in LATER else None
        if found and found.loader:
            found.loader = LazyLoader(found.loader)
        return found


# Nothing that is imported here becomes garbage: looking for it again and again takes a tenth of a start.
gc.disable()
sys.meta_path.insert(0, Later)
from jupyterlab.labapp import main  # noqa: E402 - as said above

sys.meta_path.remove(Later)
gc.freeze()
gc.enable()
sys.exit(main())
