"""What the furnished house begins with: the templates that ship, a teacher's own in two versions, and a lab that began with one."""

from dataclasses import replace
from datetime import datetime

from labs.fleet.models import Node
from labs.lifecycle.models import Lab
from labs.people.models import Group, User
from labs.starters.models import Parcel, Start, Template
from labs.starters.rules import Needs
from labs.starters.services import Draft, start_ready, template_make, template_renew
from worker.loops.starters import ship

DRAFT = Draft(
    Needs(1, 0, 4, 16, 4), first="lessons/first.ipynb", url="https://git.example.edu/vision/course.git", commit="3f786850e387550fdab836ed7e6dc881de23001b"
)


def starters_furnish(*, root: User, mine: Lab, team: Group, now: datetime) -> None:
    """Shipped ones, and Vision 101 of the team."""
    ship(now=now)
    summary = "The exercises of the course: from pixels to a first network that tells birds apart."
    made = template_make(title="Vision 101", summary=summary, minutes=90, group=team, draft=DRAFT, actor=root, now=now)
    template_renew(template=made, draft=replace(DRAFT, commit="89e6c98d92887913cadf06b2adb97f26cde4849b", note="Lesson two"), actor=root, now=now)
    version = Template.objects.get(slug="gpu-tour").versions.get()
    start = Start.objects.create(lab=mine, version=version, asked_at=now, state_since=now)
    start_ready(start=start, opens=f"{version.folder}/{version.first}", kept=False, missing=[], now=now)
    _folders(root, now)


def _folders(root: User, now: datetime) -> None:
    """Two folders of root's were copied to become templates: one may hold a secret, one was not there."""
    common = {"owner": root, "node": Node.objects.get(), "asked_at": now, "state_since": now}
    files = ["first.ipynb", "data/birds.csv", "settings.py"]
    found = ["settings.py, line 3: this looks like an AWS access key."]
    Parcel.objects.create(**common, folder="lessons/vision", state="ready", words="2 hidden files stayed behind.", files=files, warnings=found, size=48_213)
    Parcel.objects.create(**common, folder="lessons/none", state="failed", words="There is no such folder.")
