"""The search for secrets after a run of all tests finds what is planted, in each place, and lets through only what is meant to be there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.leaks import MEANT, PLACES, Found, leaks, processes_keep, secret_parts
from tests.support.product import ROOT
from tests.support.waiting import wait_for

TOKEN = "gpa_" + "Zk3vQ9mT7xW1pR5yB8nC2dF6hJ4sL0aE-uG_iOqXzVw"
#: A house that does with its secrets what no house may.
CARELESS = """
import witness
witness.begin()
import logging
import django
django.setup()
from django.core.management import call_command
from django.test import Client
from django.urls import path
from django.http import HttpResponse, StreamingHttpResponse
from django.utils import timezone
from labs.bus.secrets import secret_new
from labs.ledger.models import Event
from labs.lifecycle.tokens import upstream_token
from labs.people.services import person_create, token_create
from portal import urls
call_command("migrate", verbosity=0)
secret = secret_new("gpi_")
logging.getLogger("x").warning("made %s", secret)
Event.objects.create(kind="x", subject="x", words=upstream_token(lab_id="a", attempt=1), at=timezone.now())
alice = person_create(email="a@example.edu", display_name="A", role="student", group=None, actor=None, now=timezone.now(), password="a-planted-password-7")
token = token_create(user=alice, name="t", scope="read", now=timezone.now())[1]
def rows(request):
    yield "one,two\\n"
    yield f"three,{token}\\n"
visits = iter(range(100))
urls.urlpatterns[:0] = [
    path("careless/", lambda request: HttpResponse(f"<p>same</p><p>{token if next(visits) == 40 else 'well'}</p>")),
    path("careless.csv", lambda request: StreamingHttpResponse(rows(request))),
]
for _ in range(60):
    assert Client().get("/careless/").status_code == 200
assert len(Client().get("/careless.csv").getvalue()) > 50
"""


def planted(folder: Path, place: str, text: str, *, kind: str = "token gpa_", secret: str = TOKEN) -> list[Found]:
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    (folder / place).write_text(text)
    (folder / "secrets").write_text(f"{kind}\t{secret}\n")
    return leaks(folder)


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_is_found_wherever_it_was_left(tmp_path: Path, place: str) -> None:
    assert planted(tmp_path, f"{place}/some", f"a line\nand {TOKEN} in the middle\n") == [Found("token gpa_", f"{place}/some")]


@pytest.mark.parametrize("left", [TOKEN[:40], TOKEN[-30:], f"Bearer%20{TOKEN}", f'{{"x": "{TOKEN}"}}'])
def test_a_part_of_a_secret_is_found_as_well(tmp_path: Path, left: str) -> None:
    assert planted(tmp_path, "logs/some", f"x{left}x")


def test_the_first_signs_that_a_page_may_show_are_none(tmp_path: Path) -> None:
    assert not planted(tmp_path, "columns/people_apitoken", TOKEN[:12])


def test_what_is_shown_once_is_let_through_there_and_nowhere_else(tmp_path: Path) -> None:
    assert not planted(tmp_path, "pages/POST.api-v1-me-tokens", TOKEN)
    assert planted(tmp_path, "pages/GET.api-v1-me-tokens", TOKEN)
    assert planted(tmp_path / "other", "pages/POST.api-v1-me-tokens", TOKEN, kind="upstream")


def test_every_place_that_is_let_through_says_why() -> None:
    assert all(why and place.split("/")[0] in PLACES for _, place, why in MEANT)


def test_a_command_line_and_an_environment_are_looked_at(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "SOME_TOKEN": TOKEN}
    child = subprocess.Popen([sys.executable, "-c", "input()", TOKEN], env=environment, stdin=subprocess.PIPE)
    try:
        (tmp_path / "secrets").write_text(f"token gpa_\t{TOKEN}\n")
        wait_for(lambda: (processes_keep(tmp_path, set()), len(leaks(tmp_path)) == 2)[1], within=60, what="both places")
    finally:
        child.kill()
        child.wait()
    assert {one.place for one in leaks(tmp_path)} == {"commands/all", "environments/SOME_TOKEN"}


def test_a_careless_house_is_seen_through_from_within(tmp_path: Path) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GPULAB_")}
    own = {"GPULAB_REDIS_PASSWORD": "x" * 40}
    watched = {"WITNESS_FOLDER": str(tmp_path), "PYTHONPATH": f"{ROOT / 'tests/support/witness'}:{ROOT}", "DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run([sys.executable, "-c", CARELESS], cwd=ROOT, env=plain | watched | own, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert {"token gpi_", "token gpa_", "upstream", "password", "installation"} <= set(secret_parts(tmp_path).values())
    found = {(one.kind, one.place if one.place.startswith("pages") else one.place.split("/")[0]) for one in leaks(tmp_path)}
    assert found == {("token gpi_", "logs"), ("upstream", "columns"), ("token gpa_", "pages/GET.careless"), ("token gpa_", "pages/GET.careless.csv")}
    assert (tmp_path / "pages/GET.careless").read_text().count("\n") < 5  # what every answer repeats is kept once
