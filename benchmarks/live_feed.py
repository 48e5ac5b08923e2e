"""What the live benchmark needs of the house, in a process of its own: people who have signed in, and a node that samples."""

import json
import sys
import time
from dataclasses import asdict

import django
from django.conf import settings
from django.core.management import call_command

django.setup()

from django.test import Client  # noqa: E402  (needs the apps)
from django.utils import timezone  # noqa: E402

from labs.fleet.models import Gpu, Node  # noqa: E402
from labs.people.services import person_create  # noqa: E402
from labs.telemetry.services import readings_record  # noqa: E402
from worker.probes.simulated import SimulatedProbe  # noqa: E402

NODE = "bench"


def furnish(people: int) -> None:
    """Make the database, the people, and print a cookie for each."""
    call_command("migrate", verbosity=0)
    Node.objects.create(pk=NODE, name=NODE, probe_kind="simulated", heartbeat_at=timezone.now())
    cookies = []
    for number in range(people):
        user = person_create(email=f"p{number}@example.edu", display_name=f"P{number}", role="student", group=None, actor=None, now=timezone.now())
        browser = Client()
        browser.force_login(user)
        cookies.append(f"{settings.SESSION_COOKIE_NAME}={browser.cookies[settings.SESSION_COOKIE_NAME].value}")
    print(json.dumps(cookies))


def feed(cards: int, seconds: float) -> None:
    """One sample a second, on the second."""
    probe = SimulatedProbe(cards, node_id=NODE)
    for card in probe.read().gpus:
        Gpu.objects.get_or_create(uuid=card.uuid, defaults={"node_id": NODE, "index": card.index, "model": card.model, "simulated": True})
    began = time.monotonic()
    for second in range(int(seconds)):
        time.sleep(max(began + second - time.monotonic(), 0))
        readings = [asdict(card) | {"holder": None} for card in probe.read().gpus]
        readings_record(node_id=NODE, readings=readings, now=timezone.now(), simulated=True)


if __name__ == "__main__":
    if sys.argv[1] == "furnish":
        furnish(int(sys.argv[2]))
    else:
        feed(int(sys.argv[2]), float(sys.argv[3]))
