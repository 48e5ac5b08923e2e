"""Can this engine hand a GPU to a container?"""

import contextlib
from typing import Any

from worker.runtimes.docker.bounds import NOBODY, host_bounded
from worker.runtimes.docker.client import APIError, NotFound

#: The engine's own words when it has no driver for `--gpus`.
NO_DRIVER = "could not select device driver"


def engine_takes_gpus(api: Any) -> bool | None:
    """Start a container that does nothing with a request for no card in particular; None without an image to try with.

    The engine's own description does not tell: it lists a runtime that labs need not use, and not the hook that they do.
    """
    images = api.images(filters={"label": "gpulab.torch"})
    if not images:
        return None
    host = host_bounded(DeviceRequests=[{"Driver": "nvidia", "Count": 0, "Capabilities": [["gpu"]]}])
    body = {"Image": images[0]["Id"], "User": NOBODY, "Entrypoint": ["/bin/true"], "Env": ["NVIDIA_VISIBLE_DEVICES=void"], "HostConfig": host}
    made = api.create_container_from_config(body)["Id"]
    try:
        api.start(made)
    except APIError as error:
        return NO_DRIVER not in str(error.explanation)
    finally:
        with contextlib.suppress(NotFound):
            api.remove_container(made, force=True)
    return True
