"""What a wait is told as: sentences for the person who waits."""

from collections.abc import Sequence

from labs.scheduler.rooms import Room
from labs.scheduler.snapshot import Hold, Waiting

BEING_TAKEN = "GPUs are being taken back for it from labs that run over quota: they come free within minutes."
CLASS_OVER = "The class that it is for is not on."
NO_NODE = "No node is ready."


def gpus_words(count: float, model: str = "") -> str:
    """So many GPUs."""
    return f"{count:g} {model + ' ' if model else ''}GPU{'' if count == 1 else 's'}"


def over_quota_refused(held: float, guarantee: int) -> str:
    """The person may not, or does not wish to, go above the guarantee."""
    return f"You hold {gpus_words(held)}; {guarantee:g} {'is' if guarantee == 1 else 'are'} guaranteed to you, and this lab is not to run over quota."


def kept_short(hours: float, kept: int, free: int) -> str:
    """A long lab beside the last free cards."""
    return f"Labs of more than {hours:g} hours leave {gpus_words(kept)} free for shorter ones; {free} {'is' if free == 1 else 'are'} free now."


def class_waits(hold: Hold) -> str:
    """A class's lab before the class."""
    return f"Its GPUs are set aside for {hold.words}, and that has not begun."


def class_full(hold: Hold) -> str:
    """A class's lab when the class's cards are used up."""
    return f"All {gpus_words(hold.gpus) if hold.gpus else f'{hold.slices} slices'} set aside for {hold.words} are in use."


def closed_words(room: Room) -> str:
    """Why nothing is placed on the node."""
    return f"Node {room.node.name}: {room.node.closed}."


def set_aside_words(room: Room, words: str) -> str:
    """A window of maintenance that the lab would run into."""
    return f"Node {room.node.name} is held for {words}, and this lab's limit would run into that."


def held_words(words: str) -> str:
    """Cards are free, but not for this lab."""
    return f"The free GPUs are held for {words}; a lab that ends before that begins may use them."


KEPT_CARDS = "The free GPUs are kept for a lab that goes first."
KEPT_MEMORY = "The free memory is kept for a lab that goes first."


def cards_short(lab: Waiting, free: int) -> str:
    """No node has the cards now; one has so many."""
    profile = "" if lab.wants_slice == "any" else f"{lab.wants_slice} "
    needs = f"a {profile}slice of a GPU" if lab.wants_slice else gpus_words(lab.asked.gpus, lab.gpu_model)
    return f"Needs {needs} on one node; {free} free now."


def space_short(lab: Waiting, rooms: Sequence[Room]) -> str:
    """No node that has the cards has the cores and the memory too."""
    cpus, memory = max(0, *(room.cpus for room in rooms)), max(0, *(room.memory_mib for room in rooms)) // 1024
    return f"Needs {lab.asked.cpus} CPU cores and {lab.asked.memory_mib // 1024} GiB of memory on one node; at most {cpus} cores and {memory} GiB are free."
