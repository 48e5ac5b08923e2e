"""How Jupyter is started in a lab of the process runtime: trimmed to what a lab needs, its token by file."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.runtimes.base import NOTICE_VARIABLE, LabSpec
from worker.runtimes.mounts import CONTENTS
from worker.runtimes.process.state import NOTICE

# Found by measuring: language servers and the notebook shim cost start time and memory, and a lab works without.
EXTENSIONS = {"jupyterlab": True, "jupyter_server_terminals": True, "jupyter_lsp": False, "notebook_shim": False, "notebook": False}


@dataclass(frozen=True, slots=True)
class Inside:
    """Paths as the lab sees them; with a view of its own they differ from the host's."""

    workspace: str
    data: str
    overlay: str  # the person's environment on top of `env`, where `pip install` goes
    env: str
    run: str
    tmp: str


def configuration(*, spec: LabSpec, port: int, inside: Inside) -> dict[str, Any]:
    """Jupyter's settings as JSON; no secret is in it."""
    return {
        "ServerApp": {
            "ip": "127.0.0.1",
            "port": port,
            "port_retries": 0,
            "base_url": spec.base_url,
            "root_dir": inside.workspace,
            "open_browser": False,
            "allow_remote_access": True,
            "trust_xheaders": False,
            "quit_button": False,
            "jpserver_extensions": EXTENSIONS,
            "websocket_ping_interval": 30000,
            "terminado_settings": {"shell_command": ["/bin/bash", "-l"]},
        },
        "LabApp": {"extension_manager": "readonly", "news_url": None, "check_for_updates_class": "jupyterlab.NeverCheckForUpdate"},
        "FileContentsManager": {"delete_to_trash": False},
        "ServerWebSocketConnection": {"compression_options": None},
    }


def command(*, inside: Inside) -> list[str]:
    """The main process of the lab. -P: a file of the workspace named like one of Python's own (queue.py) does not keep it from opening."""
    config = f"--config={inside.run}/jupyter_config.json"
    return [f"{inside.overlay}/bin/python", "-P", "-m", "jupyterlab", config, f"--app-dir={inside.env}/share/jupyter/lab"]


def environment(*, spec: LabSpec, inside: Inside) -> Mapping[str, str]:
    """The environment of everything in the lab: Jupyter, kernels, terminals, SSH sessions."""
    threads = str(max(1, math.floor(spec.cpus)))
    gpus = ",".join(spec.gpu_uuids)
    ours = {
        "HOME": inside.workspace,
        "USER": spec.username,
        "LOGNAME": spec.username,
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "PATH": f"{inside.overlay}/bin:{inside.env}/bin:/usr/local/bin:/usr/bin:/bin",
        "VIRTUAL_ENV": inside.overlay,
        "TMPDIR": inside.tmp,
        "JUPYTER_TOKEN_FILE": f"{inside.run}/token",
        "JUPYTER_RUNTIME_DIR": f"{inside.run}/jupyter",
        "JUPYTER_PATH": f"{inside.env}/share/jupyter",
        "JUPYTER_CONFIG_PATH": f"{inside.run}/{CONTENTS}:{inside.env}/etc/jupyter",
        "JUPYTER_PLATFORM_DIRS": "0",
        "OMP_NUM_THREADS": threads,
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": gpus,
        "NVIDIA_VISIBLE_DEVICES": gpus or "void",
        "GPULAB_LAB": spec.lab_id,
        "GPULAB_DATA": inside.data,
        NOTICE_VARIABLE: f"{inside.run}/{NOTICE}",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    return {**spec.environment, **ours}


def overlay_make(*, inside: Inside, python: str, version: str) -> None:
    """The person's environment on top of the image's: `pip install` writes here, everything else is found below.

    `python` is the interpreter, `version` like "python3.11". pip leaves what lies outside alone and installs a
    newer one here, which then is found first. Looked at anew at every start: the environments may have moved. What is right stays: a workspace may be full.
    """
    host = Path(inside.overlay)
    packages = host / "lib" / version / "site-packages"
    packages.mkdir(parents=True, exist_ok=True)
    (host / "bin").mkdir(exist_ok=True)
    _written(packages / "_gpulab_image.pth", f"{inside.env}/lib/{version}/site-packages\n")
    for name in ("python", "python3", version):
        link = host / "bin" / name
        if not (link.is_symlink() and str(link.readlink()) == python):
            link.unlink(missing_ok=True)
            link.symlink_to(python)
    for name in ("pip", "pip3"):
        script = host / "bin" / name
        _written(script, '#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n')
        script.chmod(0o755)
    home = str(Path(python).parent)
    _written(host / "pyvenv.cfg", f"home = {home}\ninclude-system-site-packages = false\nversion = {version.removeprefix('python')}\n")


def _written(file: Path, text: str) -> None:
    if not (file.is_file() and file.read_bytes() == text.encode()):
        file.write_text(text)
