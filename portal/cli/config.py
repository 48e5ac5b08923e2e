"""Where the program keeps who it is signed in as: one file that nobody else can read."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from .faults import SIGN_IN, USAGE, Fault

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Account:
    """A portal and the token with which one is somebody there."""

    url: str
    token: str
    email: str = ""


def config_file() -> Path:
    """GPULAB_CONFIG, else gpulab/account.json in the folder for configuration."""
    named = os.environ.get("GPULAB_CONFIG")
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return Path(named) if named else base / "gpulab" / "account.json"


def account_load() -> Account:
    """Who one is: GPULAB_URL and GPULAB_TOKEN first, then the file. A fault says how to sign in."""
    held = _held()
    url, token = os.environ.get("GPULAB_URL") or held.get("url", ""), os.environ.get("GPULAB_TOKEN") or held.get("token", "")
    if not url or not token:
        raise Fault("You are not signed in. Run: gpulab login https://the-address-of-your-portal", code=SIGN_IN)
    if not os.environ.get("GPULAB_TOKEN") and url != held.get("url"):
        raise Fault(f"You are signed in at {held.get('url')}, not at {url}. Run: gpulab login {url}", code=SIGN_IN)
    return Account(url_checked(url), token, held.get("email", ""))


def account_save(account: Account) -> Path:
    """Write the file, for its owner's eyes from the first byte on."""
    file = config_file()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as out:
        json.dump(asdict(account), out)
    new.replace(file)
    return file


def account_forget() -> bool:
    """Remove the file; False when there was none."""
    there = config_file().exists()
    config_file().unlink(missing_ok=True)
    return there


def url_known() -> str:
    """The portal that was named last; empty when none was."""
    return os.environ.get("GPULAB_URL") or str(_held().get("url", ""))


def url_checked(url: str) -> str:
    """An address that a token may be sent to: https, or http on this very machine."""
    url = (url if "://" in url else f"https://{url}").rstrip("/")
    parts = _parts(url)
    here = (parts.hostname or "") in LOOPBACK or (parts.hostname or "").endswith(".localhost")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise Fault(f"{url} is no address of a portal, such as https://gpu.example.edu.", code=USAGE)
    if parts.scheme == "http" and not here:
        raise Fault("A token is sent over https only. Give the address that begins with https://.", code=USAGE)
    return url


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - a port that is none raises
    except ValueError as error:
        raise Fault(f"{url} is no address of a portal, such as https://gpu.example.edu.", code=USAGE) from error
    return parts


def _held() -> dict[str, str]:
    try:
        found = json.loads(config_file().read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Fault(f"{config_file()} cannot be read ({error}). Remove it and sign in again.", code=SIGN_IN) from error
    return found if isinstance(found, dict) else {}
