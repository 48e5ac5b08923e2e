"""What an Xid, the driver's number for an error of a card, means for the card and for the lab on it. Pure."""

from dataclasses import dataclass
from enum import Enum


class Does(Enum):
    """What an Xid does to the card that reports it."""

    DRAIN = "drain"  # no new lab until an administrator has looked
    RETIRE = "retire"  # no lab ever again: it must be replaced
    NOTHING = "nothing"  # the card is fine: it was the program, or it was dealt with


@dataclass(frozen=True, slots=True)
class Xid:
    """One Xid. `owner`: what the owner of the lab on the card is told, empty for nothing. `lost`: the lab there ends, its card is gone."""

    code: int
    words: str
    does: Does
    fix: str = ""
    owner: str = ""
    lost: bool = False


SAVE = "It works on as far as the GPU lets it: save your work and launch again, and another GPU is chosen."
YOURS = "This comes from the program, not from the GPU: look for an index or a shape that is out of bounds, or a mix of library versions."

XIDS: dict[int, Xid] = {
    one.code: one
    for one in (
        Xid(13, "a program made an error on the GPU", Does.NOTHING, owner=YOURS),
        Xid(31, "a program used memory of the GPU that is not its own", Does.NOTHING, owner=YOURS),
        Xid(43, "a program was stopped on the GPU after an error of its own", Does.NOTHING, owner=YOURS),
        Xid(45, "what a program had left on the GPU was cleared away", Does.NOTHING),
        Xid(48, "memory of the GPU failed in a way that cannot be corrected", Does.DRAIN, "Reset the GPU, or restart the host.", SAVE),
        Xid(
            63,
            "memory of the GPU failed and was replaced by spare memory, which takes effect after a reset",
            Does.DRAIN,
            "Reset the GPU when its lab has ended. Many hosts with NVLink cannot reset one GPU alone: restart the host then.",
            SAVE,
        ),
        Xid(64, "memory of the GPU failed and could not be replaced by spare memory", Does.RETIRE, "Have the GPU replaced.", SAVE),
        Xid(79, "the GPU fell off the bus", Does.DRAIN, "Restart the host. If it comes again, check power, cooling and seating of the GPU.", lost=True),
        Xid(
            94,
            "an error of the GPU's memory was contained",
            Does.NOTHING,
            owner="Only the program that used that memory was ended: start it again. The GPU is fine.",
        ),
        Xid(95, "an error of the GPU's memory was not contained", Does.DRAIN, "Reset the GPU, or restart the host.", SAVE),
        Xid(119, "the GPU's own processor does not answer the driver", Does.DRAIN, "Reset the GPU, or restart the host.", SAVE),
    )
}


def xid_of(code: int) -> Xid:
    """The meaning of `code`. One that is not in the table is noted and does nothing."""
    return XIDS.get(code) or Xid(code, "the driver reports an error", Does.NOTHING)
