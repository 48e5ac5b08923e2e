"""The engine's API with deadlines, and its errors in words."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.utils import kwargs_from_env

from worker.runtimes.base import RuntimeFault

#: An engine that does not answer within this is called hanging.
DEADLINE_S = 10
#: Between two lines of a pull's or a build's progress. Compiling or unpacking a large layer is silent for minutes.
PATIENCE_S = 3600

HTTP_BAD_REQUEST = 400
HTTP_CONFLICT = 409
#: Texts of the engine that no retry will change.
HOPELESS = ("could not select device driver", "invalid argument", "unknown flag", "is not allowed", "no such device")

__all__ = ["DEADLINE_S", "APIError", "Engine", "ImageNotFound", "NotFound", "faults"]


class Engine:
    """Connections to one engine, made at first use: `api` with a deadline, `patient` for pulls and builds."""

    def __init__(self, *, address: str | None = None, deadline_s: int = DEADLINE_S) -> None:
        self._address = address
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._api: docker.APIClient | None = None
        self._patient: docker.APIClient | None = None

    @property
    def api(self) -> Any:
        """The client for everything short."""
        with self._lock:
            if self._api is None:
                self._api = self._connect(self._deadline_s)
            return self._api

    @property
    def patient(self) -> Any:
        """The client for what may be silent for long."""
        with self._lock:
            if self._patient is None:
                self._patient = self._connect(PATIENCE_S)
            return self._patient

    def with_credentials(self, file: Path | None, *, patient: bool = False) -> Any:
        """A client that shows private registries what Docker's config.json in `file` says, read anew; without one, the worker's own."""
        client = self.patient if patient else self.api
        if file:
            client.reload_config(dockercfg_path=str(file))
        return client

    def _connect(self, timeout_s: int) -> Any:
        with faults("The container engine does not answer"):
            settings = kwargs_from_env()
            if self._address:
                settings["base_url"] = self._address
            return docker.APIClient(version="auto", timeout=timeout_s, **settings)


@contextlib.contextmanager
def faults(doing: str) -> Iterator[None]:
    """Turn the SDK's and the socket's errors into RuntimeFault: `doing` in words, then what the engine said."""
    try:
        yield
    except (requests.exceptions.Timeout, requests.exceptions.ConnectionError) as error:
        raise RuntimeFault("The container engine does not answer.", detail=f"{doing}: {error}") from error
    except APIError as error:
        said = str(error.explanation or error).strip()
        hopeless = error.status_code == HTTP_BAD_REQUEST or any(text in said for text in HOPELESS)
        raise RuntimeFault(f"{doing}: {said}", detail=str(error), transient=not hopeless) from error
    except (DockerException, OSError) as error:
        raise RuntimeFault(f"{doing}: {error}", detail=repr(error)) from error
