"""Labs that begin with a template, from the command line."""

from datetime import datetime
from typing import Any

import pytest

from labs.lifecycle.models import Lab
from labs.people.models import User
from labs.starters.models import Start
from labs.starters.services import template_make, templates_ship
from tests.cli.test_commands import SignedIn
from tests.labs.starters.test_templates import DRAFT, TOUR

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_template_says_image_and_sizes_and_what_is_typed_goes_before_them(
    signed_in: SignedIn, alice: User, root_admin: User, node: Any, now: datetime
) -> None:
    program = signed_in(alice)
    templates_ship(found=[TOUR], now=now)
    template_make(title="Vision 101", summary="One.", minutes=5, group=None, draft=DRAFT, actor=root_admin, now=now)
    assert "gpu-tour" in program("templates") and "Vision 101" in program("templates")
    lab = program.json("launch", "tour", "--template", "gpu-tour", "--hours", "1", "--gpus", "0", "--no-wait")
    assert (lab["limits"]["gpus"], lab["limits"]["cpus"], lab["limits"]["memory_gib"], lab["limits"]["hours"]) == (0, 4, 16, 1)
    assert Start.objects.get().lab_id == Lab.objects.get().pk == lab["id"]
    assert "no data set flowers" in program("launch", "--data", "flowers", "--no-wait", expect=1)
    assert "no template 'nothing'" in program("launch", "--template", "nothing", expect=4)
