"""What a wait is told as: sentences for the person who waits."""

from collections.abc import Sequence

from labs.scheduler.rooms import Room, kinds_for
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


def shortage_words(lab: Waiting, rooms: Sequence[Room]) -> str:
    """What is missing on the nodes that could serve the lab; empty when each of cards, cores and memory is there somewhere."""
    asked = lab.asked
    if asked.gpus:
        free = max((room.free_for(kind, lab.lab_id) for room in rooms for kind in kinds_for(room, lab)), default=0)
        if free < asked.gpus:
            needs = f"a {lab.wants_slice + ' ' if lab.wants_slice != 'any' else ''}slice of a GPU" if lab.wants_slice else gpus_words(asked.gpus, lab.gpu_model)
            return f"Needs {needs} on one node; {free} free now."
    if lab.placed or any(room.cpus >= asked.cpus and room.memory_mib >= asked.memory_mib and _has_cards(room, lab) for room in rooms):
        return ""
    cpus, memory = max(0, *(room.cpus for room in rooms)), max(0, *(room.memory_mib for room in rooms)) // 1024
    return f"Needs {asked.cpus} CPU cores and {asked.memory_mib // 1024} GiB of memory on one node; at most {cpus} cores and {memory} GiB are free."


def _has_cards(room: Room, lab: Waiting) -> bool:
    return not lab.asked.gpus or any(room.free_for(kind, lab.lab_id) >= lab.asked.gpus for kind in kinds_for(room, lab))
