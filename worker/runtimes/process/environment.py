"""The Python environment that labs of the process runtime share, read-only: JupyterLab and the torch that fits the host.

Built once by uv from a lock with hashes; torch comes on top, because which build is right depends on the host: the CPU
build where there is no NVIDIA driver, else the CUDA build. pip's own settings say where a site keeps its wheels.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from worker.runtimes.base import Progress, RuntimeFault
from worker.runtimes.process.state import json_read, json_write

LOCK = Path(__file__).resolve().parents[3] / "requirements" / "lab.txt"
TORCH = "2.13.0"  # offered where nothing else is asked for
_REFERENCE = re.compile(r"torch:(\d+\.\d+\.\d+)")
DRIVER_SIGNS = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")
TAIL_LINES = 12
LOOK = "import json, platform, torch; print(json.dumps({'torch': torch.__version__, 'cuda': torch.version.cuda or '', 'python': platform.python_version()}))"
_RAW_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")


def driver_is_there() -> bool:
    """Does this host have an NVIDIA driver?"""
    return any(Path(sign).exists() for sign in DRIVER_SIGNS)


def python_version() -> str:
    """Like "python3.11": the name of the interpreter and of its library folder."""
    return f"python{sys.version_info[0]}.{sys.version_info[1]}"


def base_python() -> Path:
    """The interpreter below our own environment, resolved: environments are made from it."""
    return Path(os.path.realpath(sys.executable))


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment, for this host's torch build and the present lock; another lock is another folder."""

    root: Path
    torch: str
    cuda: bool

    @property
    def digest(self) -> str:
        """Names what is in it."""
        text = f"{LOCK.read_text()} {self.torch} {'cuda' if self.cuda else 'cpu'} {python_version()}"
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.root / f"torch-{self.torch}-{self.digest[:12]}"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin" / "python"

    @property
    def ready(self) -> dict[str, str]:
        """What was found in it once it was built to the end; empty until then."""
        return json_read(self.path / "ready.json")


def environment_of(root: Path, reference: str) -> Environment:
    """The environment that a reference like "torch:2.13.0" means on this host; RuntimeFault for anything else."""
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise RuntimeFault(f"{reference!r} is no environment of the process runtime; it knows torch:VERSION, such as torch:{TORCH}.", transient=False)
    return Environment(root=root, torch=found[1], cuda=driver_is_there())


def uv_find() -> str:
    """The installer: beside our own Python (`make` puts it there), else on PATH."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if not found:
        raise RuntimeFault("The installer uv is missing; run `make up` again, it puts it there.", transient=False)
    return found


@contextmanager
def _alone(environment: Environment) -> Iterator[None]:
    environment.root.mkdir(parents=True, exist_ok=True)
    with (environment.root / f"torch-{environment.torch}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def environment_build(environment: Environment, progress: Progress) -> None:
    """Build what is missing; what an earlier try fetched is used again. Raises RuntimeFault with words."""
    with _alone(environment):
        if environment.ready:
            return
        build = "CUDA" if environment.cuda else "CPU"
        progress(1, "making the environment")
        uv = uv_find()
        if not environment.python.exists():
            _run([uv, "venv", "--quiet", "--python", str(base_python()), str(environment.path)], "make the environment")
        progress(5, "installing JupyterLab and the scientific packages (about 60 MB)")
        sync = [uv, "pip", "install", "--no-deps", "--compile-bytecode", "--require-hashes", "--python", str(environment.python)]
        _run([*sync, "-r", str(LOCK)], "install JupyterLab")
        progress(40, f"installing torch {environment.torch}, {build} build")
        _torch_install(environment, uv, progress)
        progress(95, "trying torch")
        facts = json.loads(_run([str(environment.python), "-c", LOOK], "import torch")[-1])
        _readable(environment.path)
        json_write(environment.path / "ready.json", facts, mode=0o644)
        progress(100, f"ready: torch {facts['torch']}")


def torch_ways(environment: Environment, uv: str) -> list[list[str]]:
    """Commands that fetch torch, the one to try first at the front.

    A site's own wheels (pip's find-links or index) come first for the CPU build, which PyPI does not have; uv knows
    where the project itself keeps each build; the default index is last: its wheel works everywhere and is large.
    """
    python = str(environment.python)
    by_pip = [python, "-m", "pip", "install", "--progress-bar=raw", "--disable-pip-version-check"]
    by_uv = [uv, "pip", "install", "--python", python, "--compile-bytecode"]
    if environment.cuda:
        return [[*by_uv, "--torch-backend=auto", f"torch=={environment.torch}"], [*by_pip, f"torch=={environment.torch}"]]
    return [
        [*by_pip, "--no-deps", f"torch=={environment.torch}+cpu"],
        [*by_uv, "--torch-backend=cpu", f"torch=={environment.torch}"],
        [*by_pip, f"torch=={environment.torch}"],
    ]


def _torch_install(environment: Environment, uv: str, progress: Progress) -> None:
    faults: list[RuntimeFault] = []
    for command in torch_ways(environment, uv):
        try:
            _run(command, f"install torch {environment.torch}", on_line=lambda line: _torch_progress(line, progress))
        except RuntimeFault as fault:
            faults.append(fault)
            continue
        return
    raise RuntimeFault(faults[0].words, detail="\n\n".join(fault.detail for fault in faults))


def _torch_progress(line: str, progress: Progress) -> None:
    found = _RAW_PROGRESS.search(line)
    if found and int(found[2]) > 10_000_000:
        done, total = int(found[1]), int(found[2])
        progress(40 + int(50 * done / total), f"downloading torch, {done // 1_000_000} of {total // 1_000_000} MB")


def _run(command: Sequence[str], what: str, *, on_line: Callable[[str], None] | None = None) -> list[str]:
    """Run it; its last lines. A failure is a RuntimeFault that ends with the tool's own words."""
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    process = subprocess.Popen(
        command, env=_environ(os.environ), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, umask=0o022
    )
    with process:
        for line in process.stdout or ():
            if on_line is not None:
                on_line(line)
            if line.strip() and not _RAW_PROGRESS.search(line):
                tail.append(line.rstrip())
    if process.returncode:
        last = tail[-1] if tail else f"status {process.returncode}"
        raise RuntimeFault(f"Could not {what}: {last}", detail="\n".join(tail))
    return list(tail) or [""]


def _environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Without what would lead an installer into our own environment."""
    left_out = ("PYTHONPATH", "VIRTUAL_ENV", "DJANGO_SETTINGS_MODULE", "PIP_USER", "PIP_REQUIRE_VIRTUALENV")
    found = {key: value for key, value in environ.items() if key not in left_out and not key.startswith("GPULAB_")}
    return found | {"UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": environ.get("UV_LINK_MODE", "hardlink")}


def _readable(path: Path) -> None:
    """Labs run as other users: everybody may read, whatever umask filled the installer's cache."""
    for folder, _, files in os.walk(path):
        _mode_add(Path(folder), 0o055)
        for name in files:
            file = Path(folder, name)
            if not file.is_symlink():
                _mode_add(file, 0o055 if file.stat().st_mode & 0o100 else 0o044)


def _mode_add(path: Path, bits: int) -> None:
    mode = path.stat().st_mode & 0o7777
    if mode & bits != bits:
        path.chmod(mode | bits)


def environment_ask(environment: Environment, script: str, within_s: int) -> str:
    """What a program says that the environment's interpreter runs, with nothing of the worker's own environment."""
    command = [str(environment.python), "-I", "-c", script]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=within_s, check=True, env={"PATH": os.defpath, "HOME": "/nonexistent"})
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeFault("The environment's own Python could not tell what is inside.", detail=str(error), transient=False) from error
    return done.stdout
