"""What a runtime is beside base.py: the verbs by which images are made of labs. Their faults are base.py's RuntimeFault."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Saving:
    """A layer to be made of what was installed in a lab that runs. Built server-side, never user input."""

    key: str  # names layer and tag: 12 letters of hex
    base: str  # the image that it lies on, as the node holds it
    lab: str  # the lab's name; its own Python tells what was installed
    script: str  # images/pack.py, which tells it as a tar
    folder: str  # where it was installed, as the lab sees it
    most_bytes: int
    registry: str = ""  # the site's own, where other nodes find it; empty: it stays on this node
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Saved:
    """An image that was made here. `words` tell what was left out, and where it can be had."""

    repository: str
    tag: str
    digest: str  # a registry's when `pulled`, else the engine's own id
    pulled: bool
    size_before: int
    size_after: int
    words: str = ""


#: What a program said, piece by piece; whatever it raises ends the program's reader.
Hear = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer on its way. Bytes; 0 of 0 until its size is told."""

    id: str
    done: int
    total: int
    unpacked: bool = False


#: every layer of a pull, as far as it is
Layers = Callable[[Sequence[Layer]], None]


class Makes(Protocol):
    """A part of Runtime."""

    def run_heard(self, name: str, script: str, arguments: Sequence[str], hear: Hear) -> int:
        """Run a program in a lab as run_inside does, and hear what it says while it says it; its exit code. It minds its own time."""
        ...

    def overlay_folder(self, image_digest: str) -> str:
        """Where a lab of that image finds what its user installed over it, as the lab sees it."""
        ...

    def image_save(self, saving: Saving, progress: Callable[[int, str], None]) -> Saved:
        """Make an image of what was installed in a lab. Long; whatever `progress` raises ends it. RuntimeFault with words. Twice is once."""
        ...

    def image_build(self, key: str, dockerfile: str, hear: Hear) -> Saved:
        """Build a Dockerfile as the engine does, as root. For administrators. Long; whatever `hear` raises ends it."""
        ...
