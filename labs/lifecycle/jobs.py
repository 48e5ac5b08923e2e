"""What a job may be: a program and its arguments, handed over as they are and never read by a shell. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MOST_ARGUMENTS = 100
#: Characters of all arguments together.
MOST_CHARACTERS = 16_000
MOST_FOLDER = 200
_PART = re.compile(r"[\w.+=@ -]+")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with it, and with which part."""

    words: str
    field: str


def job_fault(*, command: Sequence[str], folder: str) -> Fault | None:
    """Why this can be no job; None when it can, or when it is none and names no folder."""
    if folder and not command:
        return Fault("A folder is only for a job.", "folder")
    if not command:
        return None
    if not command[0].strip():
        return Fault("A job begins with the name of a program, such as python.", "command")
    if len(command) > MOST_ARGUMENTS or sum(map(len, command)) > MOST_CHARACTERS:
        return Fault(f"A job has at most {MOST_ARGUMENTS} arguments and {MOST_CHARACTERS} characters: put the rest into a file.", "command")
    if any("\0" in one or _surrogate(one) for one in command):
        return Fault("An argument has a character that no program can be given.", "command")
    return None if folder_fits(folder) else Fault("A folder is a path below the workspace, such as project/src.", "folder")


def folder_fits(folder: str) -> bool:
    """Is it a plain path below the workspace, or empty for the workspace itself?"""
    parts = folder.split("/") if folder else []
    return len(folder) <= MOST_FOLDER and all(part not in (".", "..") and _PART.fullmatch(part) for part in parts)


def _surrogate(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)
