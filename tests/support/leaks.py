"""After a run of all tests: is any secret that was made in it to be found where none may be? Run as a program it searches a folder of the witness.

python -m tests.support.leaks watch FOLDER [ENGINE]    command lines, environments and the engine's containers, every second, until it is ended
python -m tests.support.leaks search FOLDER            0 when nothing is found
"""

import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker

from tests.support.witness.witness import SECRETS

#: Begin and end of a secret, of so many signs each: what was cut off is found as well.
PART = 24
PLACES = ("logs", "pages", "columns", "inspect", "commands", "environments")
#: Where a secret is meant to be: a sort of secret, a place, and why. Nothing else is let through.
MEANT = (
    ("session", r"columns/(django_session|usersessions_usersession)", "Django's table of sessions is how a cookie is known again"),
    ("token gpa_", r"pages/POST\.api-v1-(me-tokens|device-token)", "shown this once"),
    ("token gpj_", r"pages/(POST\.api-v1-jobs|GET\.jobs)", "shown this once"),
    ("token gpa_", r"pages/GET\.account-tokens", "shown this once"),
    ("token gpl_", r"pages/(GET|POST)\.labs-slug-lab_id(-tokens)?", "shown this once"),
    ("token gpi_", r"pages/(GET|POST)\.(manage-people.*|invite-str-secret)", "the link is shown this once; its own page posts to itself"),
    ("reset link", r"pages/(GET|POST)\.(manage-people.*|accounts-password-reset-key.*)", "the link is shown this once; its own page posts to itself"),
    ("token gpn_", r"pages/(GET|POST)\.manage-nodes.*", "shown this once"),
    ("token gpn_", r"commands/all", "how a host joins: good once, within the hour"),
    ("token gpd_", r"pages/POST\.api-v1-device", "what the program asks for its token with"),
    ("node", r"pages/POST\.api-v1-nodes-join", "told this once"),
    ("node", r"environments/GPULAB_(DATABASE_URL|REDIS_URL)", "what a node's processes are started with"),
    ("webhook", r"pages/(POST\.api-v1-webhooks|GET\.account-webhooks)", "shown this once"),
    ("second factor", r"pages/(GET|POST)\.accounts-2fa-totp-activate", "shown while it is set up"),
    ("installation", r"environments/GPULAB_(SECRET_KEY|REDIS_PASSWORD|REDIS_URL)", "what a process of the house is started with"),
    ("token gpa_", r"environments/GPULAB_TOKEN", "how a script signs in: docs/cli.md"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """A secret of this sort, in this place."""

    kind: str
    place: str


def leaks(folder: Path) -> list[Found]:
    """What is where it should not be, each once."""
    parts = secret_parts(folder)
    return [one for one in dict.fromkeys(_found(folder, parts)) if not _meant(one)]


def secret_parts(folder: Path) -> dict[str, str]:
    """Begin and end of each secret that was noted, and its sort."""
    parts: dict[str, str] = {}
    for line in (folder / SECRETS).read_text().splitlines() if (folder / SECRETS).exists() else []:
        kind, _, text = line.partition("\t")
        bare = text if kind == "password" else text.split("_", 1)[1] if re.match(r"gp\w_", text) else text
        if kind in ("password", "session"):
            parts[bare] = kind
        else:
            parts |= dict.fromkeys((bare[-PART:],) if kind == "pass" else (bare[:PART], bare[-PART:]), kind)
    return parts


def _found(folder: Path, parts: dict[str, str]) -> Iterator[Found]:
    places = [folder / name for name in PLACES if (folder / name).exists()]
    if not parts or not places:
        return
    with tempfile.NamedTemporaryFile("w", suffix=".parts") as wanted:
        wanted.write("\n".join(parts) + "\n")
        wanted.flush()
        command = ["grep", "-raoFH", "--null", "-f", wanted.name, *map(str, places)]
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace", env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}, check=False)
    if answer.returncode > 1:
        raise RuntimeError("the search itself failed")
    for line in answer.stdout.splitlines():
        path, _, part = line.partition("\0")
        yield Found(parts[part], str(Path(path).relative_to(folder)))


def _meant(one: Found) -> bool:
    return any(one.kind == kind and re.fullmatch(place, one.place) for kind, place, _ in MEANT)


def watch(folder: Path, engine: str) -> None:
    """Until ended."""
    seen: set[str] = set()
    client = docker.APIClient(base_url=engine, version="auto", timeout=10) if engine else None
    while True:
        processes_keep(folder, seen)
        if client:
            containers_keep(folder, client, seen)
        time.sleep(1)


def processes_keep(folder: Path, seen: set[str]) -> None:
    """Every command line and every variable of an environment that this process may read, each once."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words, variables = ((entry / name).read_bytes().decode(errors="replace").split("\0") for name in ("cmdline", "environ"))
        except OSError:
            continue
        _once(folder, "commands/all", " ".join(words), seen)
        for variable in variables:
            name, _, value = variable.partition("=")
            _once(folder, f"environments/{re.sub(r'[^A-Za-z0-9_]', '-', name)[:80]}", value, seen)


def containers_keep(folder: Path, client: "docker.APIClient", seen: set[str]) -> None:
    """What the engine says of each lab, each once. One that goes meanwhile has been asked of before."""
    try:
        for row in client.containers(all=True, filters={"label": "gpulab.lab"}):
            if row["Id"] not in seen:
                _once(folder, "inspect/told", str(client.inspect_container(row["Id"])), seen)
                seen.add(row["Id"])
    except (docker.errors.APIError, OSError):
        return


def _once(folder: Path, place: str, text: str, seen: set[str]) -> None:
    if text and (key := f"{place}\0{text}") not in seen:
        seen.add(key)
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as out:
            out.write(text + "\n")


def main() -> int:
    """What was looked at and found, in words."""
    verb, folder = sys.argv[1], Path(sys.argv[2])
    if verb == "watch":
        watch(folder, "".join(sys.argv[3:4]))
    noted, found = Counter(secret_parts(folder).values()), leaks(folder)
    looked = sum(path.stat().st_size for name in PLACES for path in (folder / name).rglob("*") if path.is_file()) // 1000
    sorts = ", ".join(f"{number} {kind}" for kind, number in sorted(noted.items()))
    print(f"Searched {looked} kB of what the run left for every secret (or its two ends: {sorts}): {len(found)} found.")
    for one in found:
        print(f"  a secret ({one.kind}) is in {one.place}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
