"""A node's own copy of a data set of S3: by rclone, with the remote and its keys from the node's own settings of it. No key is in the house's records."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from worker.runtimes.base import RuntimeFault

#: Looked at first: a place with nothing in it is no error to `sync`, which would make the copy that labs read as empty.
LOOK = ("lsf", "--max-depth=1", "--retries=1", "--low-level-retries=2", "--contimeout=10s", "--")
LOOK_S = 300.0
SYNC = ("sync", "--quiet", "--")
#: What rclone and stores say -> what that means. The first that fits.
MEANT = (
    (r"didn't find section in config", "this node's settings of rclone have no remote of that name."),
    (
        r"SignatureDoesNotMatch|InvalidAccessKeyId|AccessDenied|Forbidden|status code: 40[13]",
        "the store refuses the keys in this node's settings of rclone.",
    ),
    (r"NoSuchBucket|directory not found", "the store has no such bucket or folder."),
    (r"no space left on device|disk quota exceeded", "the disk of this node is full."),
    (r"connection refused|connection reset|no such host|timeout|timed out|unreachable", "the store does not answer."),
)


def copy_make(source: str, folder: Path, deadline_s: float) -> None:
    """Make the folder what the place is, for everybody to read. RuntimeFault, in words, where that cannot be; then what is there stays."""
    rclone = shutil.which("rclone")
    if rclone is None:
        raise RuntimeFault("rclone is not installed on this node; with it and a remote of that name in its settings, the set is copied here.", transient=False)
    if not _said([rclone, *LOOK, source], source, LOOK_S).strip():
        raise RuntimeFault(f"{source} could not be copied: nothing is there.", transient=False)
    folder.mkdir(parents=True, exist_ok=True)
    for path in (folder.parent, folder):
        path.chmod(0o755)
    _said([rclone, *SYNC, source, str(folder)], source, deadline_s)


def _said(command: list[str], source: str, deadline_s: float) -> str:
    """Labs read as users of their own, so the worker's umask is not the files'."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=deadline_s, umask=0o022, env=surroundings(os.environ)
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeFault(f"{source} could not be copied: rclone did not come to an end.", detail=str(error)[-500:]) from error
    if done.returncode:
        raise RuntimeFault(f"{source} could not be copied: {meant(done.stderr)}", detail=done.stderr.strip()[-500:])
    return done.stdout


def meant(said: str) -> str:
    """What went wrong, in words; what nobody foresaw as rclone says it. Pure."""
    known = next((words for pattern, words in MEANT if re.search(pattern, said, re.IGNORECASE)), None)
    last = said.strip().rpartition("\n")[2]
    return known or f"{re.sub(r'^[0-9/]+ [0-9:]+ ', '', last)[:200] or 'rclone does not say why'}."


def surroundings(environ: Mapping[str, str]) -> dict[str, str]:
    """The worker's own without the house's settings. rclone up to 1.64 fails where AWS_CA_BUNDLE is set, and takes the same file by a name of its own. Pure."""
    kept = {name: value for name, value in environ.items() if not name.startswith("GPULAB_")}
    bundle = kept.pop("AWS_CA_BUNDLE", "")
    return {"RCLONE_CA_CERT": bundle, **kept} if bundle else kept
