"""Run GPU Lab: broker, web, worker, relay and SSH gateway. Usage: make up (or python -m tools.up)."""

import http.client
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping

from tools.up.broker import broker_command
from tools.up.children import Child, children_stop, line_print
from tools.up.place import Place, UpFault, environment_for, environment_write, home_take, place_read, ports_check, secrets_read
from tools.up.prepare import database_prepare

STOP_GRACE_S = 8.0
SERVE_WITHIN_S = 60.0
BROKER_WITHIN_S = 10.0
#: On few cores all imports at once would hold up the one that a person waits for.
HEAD_START_S = 4.0
TICK_S, WATCH_S = 0.05, 0.25


def children_of(place: Place, environment: Mapping[str, str]) -> list[Child]:
    """Everything but the broker; web is the first."""
    python = sys.executable
    uvicorn = ["-m", "uvicorn", "portal.asgi:application", "--host", "127.0.0.1", "--port", str(place.port), "--ws-per-message-deflate", "false"]
    options = ["--timeout-graceful-shutdown", "3", "--no-access-log", "--no-proxy-headers", "--log-level", "warning"]
    commands = {"web": [*uvicorn, *options]}
    for name, command in (("worker", "worker"), ("relay", "relay"), ("ssh", "ssh_gateway")):
        # The checks load every page and template, which these three never show.
        commands[name] = ["manage.py", command, "--skip-checks"]
    return [Child(name=name, command=[python, *command], environment=environment) for name, command in commands.items()]


def is_listening(port: int) -> bool:
    """Does anything take connections there?"""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_served(port: int) -> bool:
    """Does the portal answer its health question?"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def runtime_words(place: Place) -> str:
    """What the worker wrote of the runtime it took: "process: no container engine answers …", "" until then."""
    path = place.home / "runtime.txt"
    return path.read_text().strip() if path.exists() else ""


class House:
    """The running whole: watches the children until it is told to end."""

    def __init__(self, place: Place, environment: Mapping[str, str], *, began: float) -> None:
        self.place = place
        self.environment = environment
        self.began = began
        self.ending = threading.Event()
        self.children: list[Child] = []
        self.is_serving = self.told_runtime = False
        self.first_words = ""

    def child_start(self, child: Child) -> None:
        """From now on it is watched, and ended with the rest."""
        self.children.append(child)
        child.start()

    def broker_start(self, password: str) -> None:
        """First of all: the others look for it at once."""
        command = broker_command(self.place, password=password, environment=self.environment)
        broker = Child(name="broker", command=command, environment=self.environment)
        self.child_start(broker)
        deadline = time.monotonic() + BROKER_WITHIN_S
        while not is_listening(self.place.broker_port):
            if not broker.is_alive or time.monotonic() > deadline:
                raise UpFault(f"The broker {command[0]} does not start; its words are above or in {self.place.home / 'broker/broker.log'}.")
            time.sleep(0.01)

    def run(self, password: str) -> None:
        """Prepare, start, tell, watch. Returns when a signal asked for the end."""
        (self.place.home / "runtime.txt").unlink(missing_ok=True)
        if self.place.own_broker:
            self.broker_start(password)
        self.first_words = database_prepare(self.place, self.environment)
        web, *others = children_of(self.place, self.environment)
        self.child_start(web)
        self._wait_served(within=HEAD_START_S)
        if self.ending.is_set():
            return
        for child in others:
            self.child_start(child)
        if not self.is_serving:
            self._wait_served(within=SERVE_WITHIN_S)
        self.words_tell()
        self.command_build()
        while not self.ending.wait(WATCH_S):
            self._tick()

    def command_build(self) -> None:
        """The `gpulab` program that the portal hands out; beside everything else, for nobody waits for it."""
        folder = self.environment.get("GPULAB_CLI_FOLDER") or str(self.place.home / "cli")
        builder = Child(name="cli", command=[sys.executable, "-m", "tools.wheel", folder], environment=self.environment, once=True)
        self.child_start(builder)

    def _tick(self) -> None:
        now = time.monotonic()
        for child in self.children:
            child.heal(now)
        if not self.told_runtime and (words := runtime_words(self.place)):
            self.told_runtime = True
            line_print("up", f"runtime {words}")

    def _wait_served(self, *, within: float) -> None:
        deadline = time.monotonic() + within
        while not self.is_serving and time.monotonic() < deadline and not self.ending.wait(TICK_S):
            self._tick()
            self.is_serving = is_served(self.place.port)
        if self.is_serving:
            line_print("up", f"serving after {time.monotonic() - self.began:.1f} s")
        elif within == SERVE_WITHIN_S and not self.ending.is_set():
            line_print("up", f"the portal does not answer after {within:.0f} s; its log is above. Still trying.")

    def words_tell(self) -> None:
        """Where to go, and the first administrator's password: shown once, kept nowhere."""
        for line in ["", f"GPU Lab: {self.place.url}   (Ctrl-C ends it; data: {self.place.home})", *self.first_words.splitlines(), ""]:
            line_print("up", line)
        self.first_words = ""

    def end(self) -> None:
        """Doors first, then labs, then the broker. Labs of the process runtime end with the command that started them."""
        if self.first_words:
            self.words_tell()
        line_print("up", "ending")
        doors = [child for child in self.children if child.name != "broker"]
        children_stop(doors, grace_s=STOP_GRACE_S)
        children_stop([child for child in self.children if child not in doors], grace_s=STOP_GRACE_S)
        # Imported here: a start must not wait for what only an end needs.
        from worker.runtimes.process.ending import labs_end

        ended = labs_end(self.place.home / "run", why="GPU Lab was stopped on this machine (make up ended)")
        labs = {0: "", 1: ", and one running lab with it"}.get(ended, f", and {ended} running labs with it")
        line_print("up", f"ended{labs}")


def main() -> int:
    """Run until SIGINT or SIGTERM; 0 when all ended cleanly."""
    began = time.monotonic()
    try:
        place = place_read(os.environ)
        lock = home_take(place)
        ports_check(place)
        held = secrets_read(place)
    except UpFault as fault:
        print(fault, file=sys.stderr)
        return 1
    environment = environment_for(place, held, os.environ)
    environment_write(place, environment)
    house = House(place, environment, began=began)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: house.ending.set())
    try:
        house.run(held["GPULAB_REDIS_PASSWORD"])
    except UpFault as fault:
        print(fault, file=sys.stderr)
        return 1
    finally:
        house.end()
        os.close(lock)
    return 0


if __name__ == "__main__":
    sys.exit(main())
