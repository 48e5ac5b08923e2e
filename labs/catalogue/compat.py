"""Will this image compute on this card under this driver? Pure; the table is `cuda_compat.json` beside it, with its sources.

An image brings its own CUDA; the host brings the driver. What decides: the processor's architecture, the driver's
version against what that CUDA needs, and whether the image has machine code (SASS) or portable code (PTX) for the card.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Version = tuple[int, ...]
#: CUDA 13 has dropped what is older.
CUDA_13, OLDEST_OF_13 = (13,), (7, 5)


class Answer(StrEnum):
    """What is to be expected, best first."""

    OK = "ok"
    MINOR = "minor"  # CUDA's minor-version mode: runs, with limits
    FORWARD = "forward"  # by the image's own compatibility package
    UNKNOWN = "unknown"  # a warning: nobody has said so
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Needs:
    """What an image brings and needs. `cuda` is empty for a CPU build; `sass` and `ptx` are compute capabilities."""

    cuda: str
    architectures: tuple[str, ...] = ("amd64",)
    sass: tuple[str, ...] = ()
    ptx: str = ""
    l4t: str = ""  # of a Jetson image: its line, such as "r36"
    forward: bool = False  # it has the cuda-compat package


@dataclass(frozen=True, slots=True)
class Host:
    """A node. `l4t` is a Jetson's line, empty elsewhere."""

    driver: str
    architecture: str = "amd64"
    l4t: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A card: its compute capability ("9.0"), and whether it is of a data centre's kind (forward mode is for those)."""

    capability: str
    datacenter: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """What one CUDA needs of the driver: `full` for everything, `floor` for its minor-version mode."""

    cuda: str
    full: str
    floor: str


@dataclass(frozen=True, slots=True)
class Fit:
    """The answer, why, and the smallest thing that would mend it."""

    answer: Answer
    words: str = ""
    fix: str = ""


def rows_of(table: Mapping[str, Any]) -> tuple[Row, ...]:
    """The table's rows, oldest CUDA first."""
    return tuple(Row(row["cuda"], row["full"], row["minor_floor"]) for row in sorted(table["toolkit_driver"], key=lambda row: version(row["cuda"])))


def version(text: str) -> Version:
    """`580.65.06` as numbers that compare; empty for what is no version."""
    parts = text.strip().split(".")
    return tuple(int(part) for part in parts) if all(part.isascii() and part.isdigit() and len(part) < 9 for part in parts) else ()


def codes_of(found: object) -> tuple[str, ...]:
    """The compute capabilities among what an image said of itself: whoever made it could let it say anything."""
    listed = found if isinstance(found, list | tuple) else (found,)
    return tuple(one for one in listed[:100] if isinstance(one, str) and version(one))


def fit(needs: Needs, host: Host, card: Card | None, rows: Sequence[Row]) -> Fit:
    """What to expect of an image on a host and, where the lab has a GPU, on its card."""
    refused = _built_for(needs, host)
    if refused or card is None or not needs.cuda:
        return refused or Fit(Answer.OK)
    row = next((row for row in rows if row.cuda == needs.cuda), None)
    if row is None:
        return Fit(Answer.UNKNOWN, f"CUDA {needs.cuda} is not in the table of what drivers can do.", "Qualify it on this card before you rely on it.")
    if not version(host.driver):
        return Fit(Answer.UNKNOWN, "The node has not told its driver's version.")
    mode = _mode(needs, row, host, card, rows)
    return mode if mode.answer == Answer.REFUSED else _on_card(needs, row, card, mode)


def _built_for(needs: Needs, host: Host) -> Fit | None:
    if host.l4t != needs.l4t:
        have = f"This node is a Jetson of the line {host.l4t}" if host.l4t else "This node is no Jetson"
        return Fit(Answer.REFUSED, f"{have}; the image is {f'for {needs.l4t}' if needs.l4t else 'not for Jetson'}.", "Choose an image of the node's own line.")
    if host.architecture not in needs.architectures:
        built = " and ".join(needs.architectures)
        return Fit(Answer.REFUSED, f"The image is built for {built}; this node is {host.architecture}.", f"Choose an image built for {host.architecture}.")
    return None


def _mode(needs: Needs, row: Row, host: Host, card: Card, rows: Sequence[Row]) -> Fit:
    """What the driver allows."""
    driver = version(host.driver)
    if driver >= version(row.full):
        return Fit(Answer.OK)
    if driver >= version(row.floor):
        words = f"Driver {host.driver} runs CUDA {row.cuda} in its minor-version mode: no code is compiled for the card while it runs."
        return Fit(Answer.MINOR, words, f"For everything, update the driver to {row.full}.")
    if needs.forward and card.datacenter:
        return Fit(Answer.FORWARD, f"Driver {host.driver} is too old for CUDA {row.cuda}; the image's compatibility package stands in.")
    older = [one.cuda for one in rows if version(one.floor) <= driver]
    other = f", or choose an image with CUDA {older[-1]} or older" if older else ""
    return Fit(Answer.REFUSED, f"CUDA {row.cuda} needs driver {row.floor} at least; this node has {host.driver}.", f"Update the driver to {row.full}{other}.")


def _on_card(needs: Needs, row: Row, card: Card, mode: Fit) -> Fit:
    """Has the image code for the card?"""
    capability = version(card.capability)
    if not capability:
        return Fit(Answer.UNKNOWN, "The card has not told its compute capability.")
    if version(row.cuda) >= CUDA_13 and capability < OLDEST_OF_13:
        return Fit(Answer.REFUSED, f"CUDA {row.cuda} has dropped cards of compute capability {card.capability}.", "Choose an image with CUDA 12.6.")
    if not needs.sass and not needs.ptx:
        return Fit(Answer.UNKNOWN, "It is not known for which cards the image is compiled.", "Qualify it on this card before you rely on it.")
    if any(_runs(version(code), capability) for code in needs.sass):
        return mode
    if needs.ptx and version(needs.ptx) <= capability:
        if mode.answer == Answer.OK:
            return Fit(Answer.OK, "It is compiled for the card when it first runs, which takes a while.")
        return Fit(
            Answer.REFUSED, "It would have to be compiled for the card, which this driver does not do for its CUDA.", f"Update the driver to {row.full}."
        )
    made = ", ".join(needs.sass)
    return Fit(
        Answer.REFUSED, f"The image has no code for compute capability {card.capability} (it has {made}).", "Choose an image that was built for this card."
    )


def _runs(code: Version, capability: Version) -> bool:
    """Machine code of X.y runs on cards X.z with z at least y."""
    return code[:1] == capability[:1] and code <= capability
