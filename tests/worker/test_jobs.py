"""Jobs by the clock alone: let go once verified, ended as their program ended, their cards free again."""

import pytest

from labs.lifecycle.models import Lab, Lease
from labs.people.errors import Refused
from tests.support.hands import round_of  # noqa: F401  (fixture)

pytestmark = pytest.mark.django_db(transaction=True)
TRAIN = ("python", "train.py")


@pytest.mark.parametrize(("code", "state", "end"), [(0, "stopped", "job_done"), (7, "failed", "job_failed"), (137, "failed", "job_failed")])
def test_a_job_ends_as_its_program_ended_and_frees_its_card(lab_of, alice, round_of, code, state, end):
    lab = lab_of(alice, gpus=1, command=TRAIN, folder="src")
    house = round_of()
    house.until(lab, "running")
    spec = house.runtime.specs[lab.pk]
    assert (spec.command, spec.folder, spec.output) == (TRAIN, "src", f"jobs/{lab.name}-{lab.pk}")
    assert house.runtime.begun == [spec.name], "let go once, after its limits were read back"
    house.runtime.exits(spec.name, code=code)
    house.until(lab, state)
    lab.refresh_from_db()
    assert (lab.reason_code, lab.exit_code) == (end, code)
    assert not Lease.objects.filter(closed_at=None).exists()


def test_a_lab_that_is_none_is_not_let_go(lab_of, alice, round_of):
    lab = lab_of(alice)
    house = round_of()
    house.until(lab, "running")
    assert house.runtime.begun == [] and house.runtime.specs[lab.pk].command == ()


@pytest.mark.parametrize(
    "wish", [{"command": ("",)}, {"command": ("x\0",)}, {"command": ("x",) * 101}, {"command": ("x" * 20_000,)}, {"folder": "src"}]
    + [{"command": ("x",), "folder": folder} for folder in ("/etc", "../x", "a/../b", "a//b", "a;b", "a" * 300)],
)  # fmt: skip
def test_what_can_be_no_job_is_refused(lab_of, alice, wish):
    with pytest.raises(Refused):
        lab_of(alice, **wish)
    assert not Lab.objects.exists()
