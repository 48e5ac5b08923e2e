"""Make .venv from a lock file with hashes, on a bare Python 3.11 that may lack pip, ensurepip and uv.

Usage: python3 tools/bootstrap.py [base|dev]. Standard library only, because nothing else is there yet.
A second run with an unchanged lock is a no-op. Packages are checked against the hashes in requirements/*.txt,
so it does not matter which mirror served them; pip's own settings (index, certificates) are honoured.
"""

import configparser
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UV = VENV / "bin" / "uv"
STAMP = VENV / ".gpulab-lock"
LOCKS = ("base", "dev")
OLDEST = (3, 11)

HELP = """\
No way was found to fetch the first package (the installer uv) with this Python.
Any one of these is enough, then run the same command again:
  sudo apt-get install python3-pip      (Debian, Ubuntu)
  sudo apt-get install python3-venv     (Debian, Ubuntu)
  or put `uv` on your PATH."""


class BootstrapFault(Exception):
    """The environment cannot be made; the words say what to do."""


def lock_hash(name: str, *, root: Path = ROOT) -> str:
    """What the environment depends on: the locks of `name` and of the installer, and the Python that runs it."""
    digest = hashlib.sha256(f"{name} {sys.version_info[:2]}".encode())
    for lock in ("uv", name):
        digest.update((root / "requirements" / f"{lock}.txt").read_bytes())
    return digest.hexdigest()


def is_current(name: str) -> bool:
    """Does .venv already hold that lock? dev includes base, so either stamp answers for base."""
    if not (STAMP.is_file() and PYTHON.exists() and UV.exists()):
        return False
    stamped = set(STAMP.read_text().split())
    return lock_hash(name) in stamped


def pip_files(*, environment: Mapping[str, str] = os.environ) -> list[Path]:
    """pip's configuration files, the strongest last."""
    home = environment.get("HOME", "")
    config = environment.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    names = ["/etc/pip.conf"]
    names += [f"{home}/.pip/pip.conf"] if home else []
    names += [f"{config}/pip/pip.conf"] if config else []
    names += [environment["PIP_CONFIG_FILE"]] if environment.get("PIP_CONFIG_FILE") else []
    return [Path(name) for name in names]


def pip_setting(name: str, *, environment: Mapping[str, str] = os.environ) -> str:
    """One of pip's settings as pip itself would read it, "" when it is not set."""
    variable = "PIP_" + name.upper().replace("-", "_")
    if environment.get(variable):
        return environment[variable]
    parser = configparser.RawConfigParser(strict=False)
    parser.read(pip_files(environment=environment))
    for section in ("install", "global"):
        value = parser.get(section, name, fallback="").strip()
        if value:
            return value
    return ""


def uv_environment(*, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`environment` with pip's index and certificates told to uv, which does not read them by itself."""
    found = dict(environment)
    certificates = pip_setting("cert", environment=environment) or environment.get("REQUESTS_CA_BUNDLE", "")
    for variable, value in (
        ("UV_DEFAULT_INDEX", pip_setting("index-url", environment=environment)),
        ("SSL_CERT_FILE", certificates),
        ("UV_NO_PROGRESS", "" if sys.stderr.isatty() else "1"),
        ("UV_CACHE_DIR", "" if _writable_home(environment) else str(ROOT / ".venv" / ".uv-cache")),
    ):
        if value:
            found.setdefault(variable, value)
    found["UV_PYTHON_DOWNLOADS"] = "never"
    return found


def _writable_home(environment: Mapping[str, str]) -> bool:
    home = environment.get("HOME", "")
    return bool(home) and os.access(home, os.W_OK)


def venv_make() -> None:
    """Make .venv, or make it anew when its interpreter is gone or of another version."""
    wanted = f"{sys.version_info[0]}.{sys.version_info[1]}"
    probe = "import sys; print('%d.%d' % sys.version_info[:2])"
    if PYTHON.exists():
        answer = subprocess.run([PYTHON, "-I", "-c", probe], capture_output=True, text=True, check=False)
        if answer.stdout.strip() == wanted:
            return
    say(f"making {VENV.name} with Python {wanted}")
    venv.EnvBuilder(with_pip=False, clear=True, symlinks=True).create(VENV)


def wheel_of(folders: list[str]) -> str:
    """The newest pip wheel in these folders, "" when there is none."""
    found = [str(path) for folder in folders for path in Path(folder).glob("pip-*.whl")]
    return max(found, default="")


def by_uv(folder: str) -> list[str] | None:
    """uv from PATH installs the pinned uv."""
    uv = shutil.which("uv")
    return [uv, "pip", "install", "--quiet", "--python", str(PYTHON)] if uv else None


def by_pip(folder: str) -> list[str] | None:
    """The pip module of the Python that runs us."""
    if importlib.util.find_spec("pip") is None:
        return None
    return [sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "--quiet", "--no-deps"]


def by_bundle(folder: str) -> list[str] | None:
    """The pip wheel that Python or the distribution keeps for making environments; a wheel runs as it is."""
    spec = importlib.util.find_spec("ensurepip")
    bundled = [str(Path(spec.origin).parent / "_bundled")] if spec and spec.origin else []
    wheel = wheel_of([*bundled, "/usr/share/python-wheels"])
    return [str(PYTHON), f"{wheel}/pip", "install", "--quiet", "--no-deps"] if wheel else None


def by_apt(folder: str) -> list[str] | None:
    """The distribution's pip wheel, fetched without installing it: needs no root."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return None
    fetched = subprocess.run(["apt-get", "download", "-qq", "python3-pip-whl"], cwd=folder, capture_output=True, check=False)
    packages = sorted(Path(folder).glob("*.deb"))
    if fetched.returncode or not packages:
        return None
    subprocess.run(["dpkg-deb", "-x", str(packages[0]), folder], check=True)
    wheel = wheel_of([f"{folder}/usr/share/python-wheels"])
    return [str(PYTHON), f"{wheel}/pip", "install", "--quiet", "--no-deps"] if wheel else None


WAYS: tuple[tuple[str, Callable[[str], list[str] | None]], ...] = (
    ("uv on PATH", by_uv),
    ("pip", by_pip),
    ("the bundled pip", by_bundle),
    ("the distribution's pip, fetched by apt-get", by_apt),
)


def uv_install() -> None:
    """Put the pinned uv into .venv by the first way that works here; raises BootstrapFault with words."""
    lock = str(ROOT / "requirements" / "uv.txt")
    errors = []
    with tempfile.TemporaryDirectory() as folder:
        for words, way in WAYS:
            command = way(folder)
            if command is None:
                continue
            say(f"fetching the installer by {words}")
            ran = subprocess.run([*command, "--require-hashes", "-r", lock], env=uv_environment(), capture_output=True, text=True, check=False)
            if ran.returncode == 0 and UV.exists():
                return
            errors.append(f"by {words}: {ran.stderr.strip()[-600:]}")
    raise BootstrapFault("\n".join([*errors, HELP]))


def lock_install(name: str) -> None:
    """Install the lock's packages, each checked by its hash, bytecode compiled (a start without costs 4 s more)."""
    lock = ROOT / "requirements" / f"{name}.txt"
    command = [str(UV), "pip", "install", "--python", str(PYTHON), "--compile-bytecode", "--require-hashes", "-r", str(lock)]
    ran = subprocess.run(command, env=uv_environment(), check=False)
    if ran.returncode:
        raise BootstrapFault(
            f"requirements/{name}.txt could not be installed (uv's words are above). "
            "Check the network, a proxy's certificates (SSL_CERT_FILE) and pip's index-url, then run the same command again."
        )


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two commands that start together do not write one environment at once; the kernel drops the lock with us."""
    with (ROOT / "tools" / "bootstrap.py").open() as ourselves:
        fcntl.flock(ourselves, fcntl.LOCK_EX)
        yield


def say(words: str) -> None:
    """A line for the person who waits."""
    print(f"[set-up] {words}", flush=True)


def bootstrap(name: str) -> None:
    """Make .venv hold requirements/<name>.txt; nothing is done when it already does."""
    began = time.monotonic()
    with one_at_a_time():
        if is_current(name):
            return
        venv_make()
        if not UV.exists():
            uv_install()
        say(f"installing requirements/{name}.txt (once, and again only when the lock changes)")
        lock_install(name)
        held = {lock_hash("base"), lock_hash(name)}
        STAMP.write_text("\n".join(sorted(held)) + "\n")
    say(f"ready in {time.monotonic() - began:.0f} s")


def main(arguments: list[str]) -> int:
    """The command line: which lock, base unless said."""
    name = arguments[0] if arguments else "base"
    if sys.version_info < OLDEST:
        print(f"GPU Lab needs Python {OLDEST[0]}.{OLDEST[1]} or newer; this is {sys.version.split()[0]}.", file=sys.stderr)
        return 1
    if name not in LOCKS:
        print(f"Which lock? One of: {', '.join(LOCKS)}.", file=sys.stderr)
        return 2
    try:
        bootstrap(name)
    except BootstrapFault as fault:
        print(fault, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
