"""What a template may be, and what a click on one takes. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from labs.policy.rules import Limits

#: Where templates' folders are, below the workspace.
ROOT = "templates"
MOST_PATH = 200
MOST_URL = 300
#: What may be copied of a folder.
MOST_FILES, MOST_BYTES = 500, 16 * 2**20
_SECRET_NAMES = re.compile(
    r"(id_(rsa|dsa|ecdsa|ed25519)|.*\.(pem|key|p12|pfx|jks|kdbx|ovpn)|credentials(\.\w+)?|secrets?(\.\w+)?|token(\.\w+)?|kaggle\.json|netrc)", re.IGNORECASE
)
_SECRETS = (
    (re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"), "a private key"),
    (re.compile(rb"\b(gh[pousr]_\w{30,}|github_pat_\w{30,}|glpat-[\w-]{20}|hf_\w{30,}|AKIA[0-9A-Z]{16}|sk-[\w-]{30,}|gp[alf]_[\w-]{20,})"), "a token"),
    (re.compile(rb"(?i)(pass(word|wd)|secret|api_?key|token)\\?[\"']?\s*[:=]\s*\\?[\"'][^\s\"'\\]{6,}"), "a password or key that is written down"),
)
_SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PART = re.compile(r"[\w+=@, -][\w.+=@, -]*")
_SET = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}(@[a-z0-9][a-z0-9._-]{0,30})?")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and with which field."""

    words: str
    field: str


@dataclass(frozen=True, slots=True)
class Needs:
    """What a template asks for; `least_gpus`: with fewer it does not run at all. Sizes in cores, GiB and hours; shm None is half of the memory."""

    gpus: int
    least_gpus: int
    cpus: int
    memory_gib: int
    hours: int
    shm_gib: int | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """The most that one machine of the house has."""

    gpus: int
    cpus: int
    memory_gib: int


def sizes_for(needs: Needs, limits: Limits, room: Room) -> Needs:
    """What a click takes: what it asks for, cut to the person's limits and to the machines that there are."""
    return Needs(
        gpus=max(0, min(needs.gpus, limits.gpus_max, room.gpus)),
        least_gpus=needs.least_gpus,
        cpus=max(1, min(needs.cpus, limits.cpus, room.cpus or needs.cpus)),
        memory_gib=max(1, min(needs.memory_gib, limits.memory_gib, room.memory_gib or needs.memory_gib)),
        hours=max(1, min(needs.hours, limits.hours_max)),
        shm_gib=needs.shm_gib if needs.shm_gib is None else max(1, min(needs.shm_gib, limits.shm_gib)),
    )


def short_of_gpus(needs: Needs, limits: Limits, room: Room) -> str:
    """Why it cannot run for want of GPUs, in words; empty where it can."""
    if limits.gpus_max < needs.least_gpus:
        return f"It needs {_gpus(needs.least_gpus)} and your limit is {_gpus(limits.gpus_max)}."
    if room.gpus < needs.least_gpus:
        return f"It needs {_gpus(needs.least_gpus)} in one machine, and the house has {_gpus(room.gpus)}."
    return ""


def _gpus(count: int) -> str:
    return {0: "none", 1: "1 GPU"}.get(count, f"{count} GPUs")


def version_numbers(text: str) -> tuple[int, ...]:
    """A version as numbers that can be compared: 2.9.1+cu128 -> (2, 9, 1)."""
    return tuple(int(part) for part in re.findall(r"\d+", text.split("+")[0]))


def slug_of(title: str) -> str:
    """A template's name in folders and commands, made from its title."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40].rstrip("-")


def wrong(*, slug: str, url: str, commit: str, first: str, data: Iterable[str], needs: Needs) -> Fault | None:
    """What keeps this from being a template; None when it can be one. An empty `url` is for files that the house ships."""
    if not _SLUG.fullmatch(slug):
        return Fault("A title begins with a letter of the Latin alphabet: the folder is named after it.", "title")
    if url and (words := url_wrong(url)):
        return Fault(words, "url")
    if url and not _COMMIT.fullmatch(commit):
        return Fault("Name one commit by its 40 letters and digits (git rev-parse HEAD): a branch would change under your students.", "commit")
    if first and not path_fits(first):
        return Fault("Name the notebook as a path below the repository, such as lessons/first.ipynb.", "first")
    if strange := next((one for one in data if not _SET.fullmatch(one)), None):
        return Fault(f"{strange[:60]!r} is no name of a data set.", "data")
    if needs.least_gpus > needs.gpus:
        return Fault("It cannot need more GPUs than it takes.", "least_gpus")
    return None


def url_wrong(url: str) -> str:
    """Why a repository cannot be fetched from there; empty when it can be tried. What the lab's network reaches is for the lab to find out."""
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= MOST_URL
    try:
        parts = urlsplit(url)
        good = plain and parts.scheme in ("http", "https") and bool(parts.hostname) and bool(parts.path.strip("/")) and not parts.fragment and not parts.query
        secret = parts.username is not None or parts.password is not None
        parts.port  # noqa: B018 - a port that is none raises
    except ValueError:
        return "That is no address of a repository."
    if secret:
        return "An address with a name or a password in it would be shown to everybody: use one that needs none."
    return "" if good else "Give the address that git clone takes, beginning with https://."


def path_fits(path: str) -> bool:
    """Is it a plain path below a folder, with nothing hidden in it?"""
    return 0 < len(path) <= MOST_PATH and all(_PART.fullmatch(part) for part in path.split("/"))


def secret_in(name: str, content: bytes) -> str:
    """What looks like a secret in a file, in words; empty when nothing does. It finds what is careless, not what is hidden."""
    found = next((words for pattern, words in _SECRETS if pattern.search(content)), "")
    if found:
        return f"{name} holds what looks like {found}."
    return f"{name} is named like a file of keys or passwords." if _SECRET_NAMES.fullmatch(name.rpartition("/")[2]) else ""
