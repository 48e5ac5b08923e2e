"""Run by a lab's own Python from the archive in which it comes: puts a template's files into the workspace, once.

The archive holds `plan.json` ({folder, first, data, url, commit}) and, without a url, the files below `files/`. What is there already is
left as it is. Files are laid out under another name and get theirs in one step, so that whoever is cut off leaves nothing half.
What it says is one escape sequence that terminals do not show: ESC ] 7700 ; JSON BEL.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

FETCH_S = 900
#: What another lab lays out at this moment is younger.
LEFT_OVER_S = 3600
HIDDEN = ".gpulab-"


class Hindered(Exception):
    """A word for what is in the way, and words that were said of it."""


def say(**fact: object) -> None:
    """Tell the worker."""
    sys.stdout.write(f"\x1b]7700;{json.dumps(fact)}\x07")
    sys.stdout.flush()


def folders_make(home: Path, parts: list[str]) -> Path:
    """The folder above, made where it is not there; only real folders are walked through."""
    at = home
    for part in parts:
        at = at / part
        at.mkdir(exist_ok=True)
        if at.is_symlink() or not at.is_dir():
            raise Hindered("in the way", part)
    return at


def left_over_remove(above: Path) -> None:
    """What somebody who was cut off has left."""
    for one in above.glob(f"{HIDDEN}*"):
        if not one.is_symlink() and time.time() - one.lstat().st_mtime > LEFT_OVER_S:
            shutil.rmtree(one, ignore_errors=True)


def unpack(archive: zipfile.ZipFile, into: Path) -> None:
    """The files below `files/`, on the disk when this returns."""
    for name in archive.namelist():
        parts = name.split("/")
        if parts[0] != "files" or any(part in ("", ".", "..") for part in parts):
            continue
        file = into.joinpath(*parts[1:])
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as out:
            out.write(archive.read(name))
            out.flush()
            os.fsync(out.fileno())


def git(into: Path, *words: str) -> str:
    """Empty when it worked, else the last thing that git said. Nothing that it fetches is run, and it asks for no password."""
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "http:https", "GIT_LFS_SKIP_SMUDGE": "1"}
    command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false", "-C", str(into), *words]
    try:
        ran = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=FETCH_S, check=False)
    except FileNotFoundError:
        raise Hindered("no git", "") from None
    except subprocess.TimeoutExpired:
        return "it took longer than 15 minutes"
    return "" if ran.returncode == 0 else (ran.stderr.strip() or f"git ended with {ran.returncode}").splitlines()[-1]


def fetch(url: str, commit: str, into: Path) -> None:
    """One commit: alone where the server gives it so, else out of everything that it has."""
    said = git(into, "init", "-q") or git(into, "remote", "add", "origin", url)
    if git(into, "fetch", "-q", "--depth", "1", "origin", commit):
        said = said or git(into, "fetch", "-q", "origin", "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
    said = said or git(into, "checkout", "-q", "--detach", commit)
    if said:
        raise Hindered("git", said[:200])


def place(archive: zipfile.ZipFile, plan: dict[str, Any], target: Path) -> bool:
    """Put the files there; True when something was there already, which stays as it is."""
    if target.exists() or target.is_symlink():
        return True
    left_over_remove(target.parent)
    new = Path(tempfile.mkdtemp(prefix=HIDDEN, dir=target.parent))
    try:
        new.chmod(0o755)
        if plan["url"]:
            fetch(plan["url"], plan["commit"], new)
        else:
            unpack(archive, new)
        new.rename(target)
    except OSError:
        if not target.exists():
            raise
        return True  # another lab of the same person was quicker
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return False


def main() -> None:
    """Read the archive and let it go, place the files, and say what is there now."""
    me = Path(sys.argv[0])
    archive = zipfile.ZipFile(io.BytesIO(me.read_bytes()))
    me.unlink()
    plan = json.loads(archive.read("plan.json"))
    *above, name = plan["folder"].split("/")
    try:
        target = folders_make(Path.home(), above) / name
        kept = place(archive, plan, target)
    except Hindered as hindered:
        say(error=hindered.args[0], words=hindered.args[1])
    except OSError as error:
        say(error="disk", words=os.strerror(error.errno) if error.errno else str(error))
    else:
        first = bool(plan["first"]) and (target / plan["first"]).is_file()
        missing = [one for one in plan["data"] if not Path("/data", one).exists()]
        say(kept=kept, first=first, missing=missing)


if __name__ == "__main__":
    main()
