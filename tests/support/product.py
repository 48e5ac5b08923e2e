"""The whole product, started as a user starts it (`make up`'s command), for journeys: sign-in to a computed cell."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.kept import house_kept, line_kept
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct-horse-battery-9"
PEOPLE = {"alice": "researcher", "bob": "student", "charlie": "researcher"}
#: What the house writes of its first administrator.
CREDENTIALS = re.compile(r"(\S+@\S+).*?password[^\w]*[:=]?\s+(\S+)", re.IGNORECASE | re.DOTALL)


@dataclass
class House:
    """A running GPU Lab of its own: folder, ports, people."""

    home: Path
    port: int
    environment: dict[str, str]
    before: tuple[str, ...] = ()  # a command that the house is started by
    log: list[str] = field(default_factory=list)
    process: "subprocess.Popen[str] | None" = None
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def labs_port(self) -> int:
        return self.port + 1

    @property
    def ssh_port(self) -> int:
        return self.port - 5778

    def start(self, within: float = 90) -> None:
        """Start and wait until the portal serves."""
        self.process = subprocess.Popen(
            [*self.before, sys.executable, "-m", "tools.up"],
            cwd=ROOT,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        threading.Thread(target=self._follow, daemon=True).start()
        wait_for(self._serves, within=within, what=f"the portal on {self.url}; log:\n" + "\n".join(self.log[-40:]))

    def pid_of(self, command: str) -> int | None:
        """The process of that command among its own."""
        assert self.process
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except (OSError, IndexError):
                continue
            if command.encode() in words and int(parent) == self.process.pid:
                return int(entry.name)
        return None

    def _follow(self) -> None:
        assert self.process and self.process.stdout
        for line in self.process.stdout:
            self.log.append(line.rstrip())
            line_kept(f"house-{self.port}", line)

    def _serves(self) -> bool:
        assert self.process
        assert self.process.poll() is None, "the house ended:\n" + "\n".join(self.log[-60:])
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self, within: float = 90) -> None:
        """Ctrl-C."""
        house_kept(self.environment, self.home)
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(within)

    def manage(self, *arguments: str, typed: str = "") -> str:
        """`manage.py …` in the house's environment, with what is `typed` into it; its output."""
        environment = self.environment | self._secrets()
        command = [sys.executable, "manage.py", *arguments]
        ran = subprocess.run(command, cwd=ROOT, env=environment, input=typed, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def _secrets(self) -> dict[str, str]:
        lines = (self.home / "secrets.env").read_text().splitlines()
        held = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        return {
            "GPULAB_SECRET_KEY": held["GPULAB_SECRET_KEY"],
            "GPULAB_REDIS_URL": f"redis://:{held['GPULAB_REDIS_PASSWORD']}@127.0.0.1:{self.port + 2}/0",
        }

    def people_make(self) -> None:
        """alice and bob of one team, charlie of none; each with an API token."""
        script = (
            "from django.utils.timezone import now\n"
            "from labs.people.models import User\n"
            "from labs.people.services import group_create, person_create, token_create\n"
            "admin = User.objects.get(role='administrator')\n"
            "house = group_create(kind='organisation', name='University', slug='university', parent=None, actor=admin, now=now())\n"
            "team = group_create(kind='team', name='Vision', slug='vision', parent=house, actor=admin, now=now())\n"
            f"for name, role in {PEOPLE!r}.items():\n"
            "    group = None if name == 'charlie' else team\n"
            "    person = person_create(email=name + '@example.edu', display_name=name.capitalize(), role=role, group=group, actor=admin, "
            f"now=now(), password={PASSWORD!r})\n"
            "    print('token', name, token_create(user=person, name='test', scope='launch', now=now())[1])\n"
        )
        self.tokens |= dict(re.findall(r"^token (\w+) (\S+)$", self.manage("shell", "--no-imports", typed=script), re.MULTILINE))
        assert self.tokens.keys() == PEOPLE.keys()

    def api(self, name: str) -> httpx.Client:
        """An API client as that person."""
        return httpx.Client(base_url=f"{self.url}/api/v1", headers={"Authorization": f"Bearer {self.tokens[name]}"}, timeout=30)

    def lab_until(self, name: str, lab_id: str, state: str, within: float = 120) -> dict[str, Any]:
        """The lab as the API shows it, once it is in that state."""
        with self.api(name) as client:

            def there() -> dict[str, Any] | None:
                lab: dict[str, Any] = client.get(f"/labs/{lab_id}").json()
                ended = lab["state"] in ("failed", "stopped") and lab["state"] != state
                assert not ended, f"{lab}\n" + "\n".join(self.log[-60:])
                return lab if lab["state"] == state else None

            return wait_for(there, within=within, what=f"lab {lab_id} of {name} {state}")


def house_environment(home: Path, port: int, **extra: str) -> Mapping[str, str]:
    """A clean environment: nothing of the developer's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GPULAB_", "DJANGO_")) and name not in ("PORT", "DOCKER_HOST")}
    return kept | {"PORT": str(port), "GPULAB_HOME": str(home), "HOME": str(home)} | extra
