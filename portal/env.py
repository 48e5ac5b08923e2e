"""Readers of the environment that refuse nonsense at the start instead of failing at noon.

Every setting of GPU Lab is one variable, read here once; a value that cannot be is `ImproperlyConfigured`
with the variable's name in the words.
"""

import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

Environ = Mapping[str, str]
#: What may follow a database's address: whether the way there is private.
TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey")
WHOLE = re.compile(r"-?[0-9]{1,12}")  # not isdigit(): that takes what int() does not


def text(name: str, default: str = "", *, environ: Environ = os.environ) -> str:
    """The variable without surrounding blanks."""
    return environ.get(name, "").strip() or default


def choice(name: str, options: tuple[str, ...], default: str, *, environ: Environ = os.environ) -> str:
    """One of `options`."""
    value = text(name, default, environ=environ)
    if value not in options:
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be one of {', '.join(options)}.")
    return value


def integer(name: str, default: int, *, low: int, high: int, environ: Environ = os.environ) -> int:
    """A whole number within [low, high]."""
    value = text(name, str(default), environ=environ)
    if not WHOLE.fullmatch(value) or not low <= int(value) <= high:
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be a whole number from {low} to {high}.")
    return int(value)


def listing(name: str, default: str = "", *, environ: Environ = os.environ) -> list[str]:
    """Comma-separated words."""
    return [word.strip() for word in text(name, default, environ=environ).split(",") if word.strip()]


def folder(name: str, default: Path, *, environ: Environ = os.environ) -> Path:
    """An absolute folder; it need not exist yet."""
    return Path(text(name, str(default), environ=environ)).expanduser().resolve()


def file(name: str, *, environ: Environ = os.environ) -> Path | None:
    """The file of that name, which must be there; None where nothing is set."""
    value = text(name, environ=environ)
    if value and not Path(value).is_file():
        raise ImproperlyConfigured(f"{name} is {value!r}; there is no such file.")
    return Path(value).resolve() if value else None


def address(name: str, default: str, *, environ: Environ = os.environ) -> tuple[str, int]:
    """`host:port`."""
    host, _, port = text(name, default, environ=environ).rpartition(":")
    if not host or not WHOLE.fullmatch(port) or not 0 < int(port) < 65536:
        raise ImproperlyConfigured(f"{name} must be host:port, such as {default}.")
    return host, int(port)


def folders(name: str, *, environ: Environ = os.environ) -> dict[str, Path]:
    """`words=/path, words=/path`: folders by what they are called."""
    pairs = [one.partition("=") for one in listing(name, environ=environ)]
    for words, _, path in pairs:
        if not words.strip() or not path.strip().startswith("/"):
            raise ImproperlyConfigured(f"{name} must be pairs of words=/folder, separated by commas.")
    return {words.strip(): Path(path.strip()) for words, _, path in pairs}


def pairs(name: str, *, values: tuple[str, ...] = (), environ: Environ = os.environ) -> dict[str, str]:
    """`theirs=ours, theirs=ours`; with `values`, ours is one of those."""
    found = [one.rpartition("=") for one in listing(name, environ=environ)]
    for theirs, _, ours in found:
        if not theirs.strip() or not ours.strip() or (values and ours.strip() not in values):
            wanted = f"one of {', '.join(values)}" if values else "a name here"
            raise ImproperlyConfigured(f"{name} must be pairs of THEIRS=OURS, separated by commas; OURS is {wanted}.")
    return {theirs.strip(): ours.strip() for theirs, _, ours in found}


def network(name: str, default: str, *, environ: Environ = os.environ) -> IPv4Network:
    """A private IPv4 range that is large enough for one /28 a person."""
    try:
        value = IPv4Network(text(name, default, environ=environ))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from error
    if not value.is_private or value.prefixlen > 24:
        raise ImproperlyConfigured(f"{name} must be a private range of /24 or larger, such as {default}.")
    return value


def networks(name: str, *, environ: Environ = os.environ) -> tuple[IPv4Network | IPv6Network, ...]:
    """Comma-separated ranges, such as 10.1.2.0/24."""
    try:
        return tuple(ip_network(one) for one in listing(name, environ=environ))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from error


def secret(name: str, *, environ: Environ = os.environ) -> str:
    """A secret of at least 32 characters that is nobody's default. There is no default: none can leak."""
    value = environ.get(name, "")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set. `make up` makes one; a deployment's .env is made by deploy/make-env.")
    if len(value) < 32 or len(set(value)) < 10 or "insecure" in value or "change" in value.lower():
        raise ImproperlyConfigured(f"{name} looks like a default or is too short: at least 32 random characters.")
    return value


#: A database that hangs is told apart from one that answers before a page's reader gives up, in seconds; and one behind a cable that was cut is
#: asked anew, instead of when the kernel happens to send again, which after minutes without an answer is minutes later (`tcp_user_timeout` in ms).
PATIENCE = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}


def database(name: str, default: str, *, environ: Environ = os.environ) -> dict[str, object]:
    """`sqlite:///path` or `postgres://user:password@host:port/name` as Django's DATABASES entry."""
    try:
        url = urlsplit(text(name, default, environ=environ))
        port = str(url.port or "")
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is no address: {error}.") from error
    if url.scheme == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": unquote(url.path),
            # WAL alone still answers "database is locked" under load; IMMEDIATE takes the write lock at BEGIN.
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA busy_timeout=20000;",
            },
        }
    if url.scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured(f"{name} must begin with sqlite:/// or postgres://.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.path.lstrip("/"),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": url.hostname or "",
        "PORT": port,
        # Under ASGI every request has a thread of its own: a connection that is kept is one that nobody finds again.
        "CONN_MAX_AGE": 0,
        "OPTIONS": PATIENCE | {key: value for key, value in parse_qsl(url.query) if key in TLS},
    }
