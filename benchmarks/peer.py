"""The peer: JupyterHub with DockerSpawner on the same engine and the same image, installed for the measurement only.

The hub and its proxy come from their registries by uv and npm. The single-user server is installed into a folder that
is bound into the image, so that both products start the very same image.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.floor import Hold, Sizes, at_will, wait
from tests.support.ports import port_base_free
from tools.bootstrap import uv_environment

HUB, SPAWNER, PROXY = "jupyterhub==6.1.1", "dockerspawner==14.0.0", "configurable-http-proxy@5.3.0"
CONFIG = """
import os
c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_ip = "0.0.0.0"
c.JupyterHub.hub_port = {hub_port}
c.JupyterHub.hub_connect_ip = "{gateway}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.command = ["{proxy}"]
c.JupyterHub.services = [{{"name": "bench", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [{{"name": "bench", "services": ["bench"], "scopes": ["admin:users", "admin:servers", "access:servers"]}}]
c.JupyterHub.concurrent_spawn_limit = 0
c.DockerSpawner.image = "{image}"
c.DockerSpawner.pull_policy = "never"
c.DockerSpawner.remove = True
c.DockerSpawner.cmd = ["python3", "-m", "jupyterhub.singleuser"]
c.DockerSpawner.mem_limit = "{memory}G"
c.DockerSpawner.cpu_limit = {cpus}
c.DockerSpawner.read_only_volumes = {{"{server}": "/opt/peer"}}
c.DockerSpawner.environment = {{"PYTHONPATH": "/opt/peer", "HOME": "/tmp", "JUPYTER_RUNTIME_DIR": "/tmp/runtime"}}
c.DockerSpawner.extra_create_kwargs = {{"user": "1000:1000", "entrypoint": ["/usr/bin/tini", "-g", "--"], "working_dir": "/tmp"}}
c.DockerSpawner.extra_host_config = {{"shm_size": "{shm}g", "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"], "pids_limit": {pids}}}
c.DockerSpawner.notebook_dir = "/tmp"
c.DockerSpawner.http_timeout = 120
c.DockerSpawner.start_timeout = 120
"""


class Peer:
    """A running hub; `once(n)` launches for person n."""

    def __init__(self, home: Path, engine: str, image: str, sizes: Sizes) -> None:
        home.mkdir()
        home.chmod(0o755)
        self.home, self.token = home, secrets.token_hex(32)
        self.port = port_base_free() + 50
        self.environment = uv_environment(environment=os.environ) | {"DOCKER_HOST": engine, "CONFIGPROXY_AUTH_TOKEN": secrets.token_hex(32)}
        self._install()
        self._configure(image, sizes)
        self.log = (home / "hub.log").open("w")
        command = [str(home / "venv/bin/jupyterhub"), "-f", str(home / "config.py")]
        self.process = subprocess.Popen(command, cwd=home, env=self.environment, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True)
        wait(self._serves, "JupyterHub")

    def once(self, n: int, hold: Hold = at_will) -> float:
        """Seconds from asking for a server to the first 200 of its /api/status through the proxy; it ends once `hold` returns."""
        name, headers = f"peer{n}", {"Authorization": f"token {self.token}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=120, follow_redirects=False) as client:
            client.post(f"/hub/api/users/{name}")
            began = time.perf_counter()
            client.post(f"/hub/api/users/{name}/server").raise_for_status()
            self._progress(client, name)
            wait(lambda: client.get(f"/user/{name}/api/status").status_code == 200, f"the server of {name}")
            seconds = time.perf_counter() - began
            hold()
            client.delete(f"/hub/api/users/{name}/server").raise_for_status()
            wait(lambda: self._is_over(client, name), f"the end of the server of {name}")
        return seconds

    def close(self) -> None:
        """End the hub and its proxy."""
        self.process.terminate()
        self.process.wait(30)
        self.log.close()

    def _progress(self, client: httpx.Client, name: str) -> None:
        """Follow the hub's own stream to the end: asking again and again would slow it down."""
        with client.stream("GET", f"/hub/api/users/{name}/server/progress") as stream:
            for line in stream.iter_lines():
                told: dict[str, Any] = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if told.get("failed"):
                    raise RuntimeError(f"JupyterHub could not start {name}: {told}\n{(self.home / 'hub.log').read_text()[-3000:]}")
                if told.get("ready"):
                    return

    @staticmethod
    def _is_over(client: httpx.Client, name: str) -> bool:
        time.sleep(0.2)
        return not client.get(f"/hub/api/users/{name}").json()["servers"]

    def _serves(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError((self.home / "hub.log").read_text()[-3000:])
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/hub/api/").status_code == 200
        except httpx.HTTPError:
            return False

    def _install(self) -> None:
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
        if not uv or not shutil.which("npm"):
            raise SystemExit("--peer needs uv and npm.")
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        commands: list[list[str | Path]] = [
            [uv, "venv", "-q", "--python", sys.executable, self.home / "venv"],
            [uv, "pip", "install", "-q", "--python", self.home / "venv/bin/python", HUB, SPAWNER],
            [uv, "pip", "install", "-q", "--python-version", python, "--target", self.home / "server", "--compile-bytecode", HUB],
            ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", self.home, PROXY],
        ]
        for command in commands:
            subprocess.run(command, env=self.environment, check=True)

    def _configure(self, image: str, sizes: Sizes) -> None:
        inspect = ["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"]
        gateway = subprocess.run(inspect, env=self.environment, check=True, capture_output=True, text=True).stdout.strip()
        proxy = self.home / "node_modules/.bin/configurable-http-proxy"
        places = {"port": self.port, "hub_port": self.port + 1, "proxy_port": self.port + 2, "gateway": gateway, "proxy": proxy, "server": self.home / "server"}
        limits = {"memory": sizes.memory_gib, "cpus": sizes.cpus, "shm": sizes.shm_gib, "pids": sizes.pids}
        (self.home / "config.py").write_text(CONFIG.format(token=self.token, image=image, **places, **limits))
