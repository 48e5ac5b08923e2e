"""FAULTS rows 20 to 23: the GPU driver fails, cards report errors, change places, or are not clean between two owners.

The driver is a C library that stands in for NVIDIA's, read by the real code in a process of its own.
"""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from labs.bus.redis import client
from labs.fleet.models import Gpu, Node
from labs.fleet.services import gpu_health_set
from labs.ledger.models import Event
from labs.lifecycle.models import Lab, Lease, Reclaim
from labs.lifecycle.moves import lab_end
from labs.lifecycle.sickness import lab_restart_in_place
from labs.notices.models import Notice
from labs.people.errors import Refused
from labs.people.models import User
from labs.telemetry import queries
from tests.nvml.conftest import Driver, compiled, driver  # noqa: F401  (fixtures)
from tests.support.hands import AtOnce, Round, round_of  # noqa: F401  (fixture)
from worker.loops import cards, sample, usage
from worker.probes.base import CardXid, GpuProcess, GpuReading, NodeReading, ProbeFault
from worker.probes.kernel_log import KernelLog
from worker.runtimes.base import RuntimeFault

pytestmark = pytest.mark.django_db(transaction=True)
ONE, TWO = "GPU-00000000-test", "GPU-00000001-test"
SAMPLE_S = 2


def line(uuid: str, **more: object) -> str:
    """A line of the stand-in's state."""
    facts = {"name": "NVIDIA_H200", "total": 143771, "used": 4, "util": 0, "temp": 30, "power": 75000, "pci": PCI[uuid]} | more
    return f"gpu {uuid} " + " ".join(f"{name}={value}" for name, value in facts.items())


PCI = {ONE: "00000000:3B:00.0", TWO: "00000000:AF:00.0"}


class StandIn:
    """The real probe over the stand-in, in its own process."""

    kind = "nvml"

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.longest_s = 0.0

    def read(self) -> NodeReading:
        answer = self.driver.read()
        self.longest_s = max(self.longest_s, answer["seconds"])
        if "fault" in answer:
            raise ProbeFault(answer["fault"])
        told = answer["reading"]
        gpus = [GpuReading(**(card | {"processes": [GpuProcess(**one) for one in card["processes"]]})) for card in told["gpus"]]
        return NodeReading(**(told | {"gpus": gpus, "xids": [CardXid(**one) for one in told["xids"]]}))

    def close(self) -> None:
        self.driver.end()


class Host:
    """A node with two cards of the stand-in, and labs on them."""

    def __init__(self, driver: Driver, house: Round, log: Path) -> None:
        self.driver, self.house, self.log = driver, house, log
        self.probe = StandIn(driver)
        self.house.hands.probe = self.probe
        self.house.hands.kernel_xids = KernelLog(log).xids
        self.says()
        self.samples()

    def says(self, *lines: str) -> None:
        """What the driver shows from now on; two healthy cards unless told otherwise."""
        self.driver.says(*(lines or (line(ONE), line(TWO))))

    def kernel(self, text: str) -> None:
        """The kernel writes a line into its log."""
        with self.log.open("a") as file:
            file.write(f"4,8012,93482934,-;{text}\n")

    def samples(self, count: int = 1) -> None:
        for _ in range(count):
            self.house.now += timedelta(seconds=SAMPLE_S)
            Node.objects.update(heartbeat_at=self.house.now)
            sample.tick(hands=self.house.hands, now=self.house.now)

    def running(self, lab: Lab) -> Lab:
        self.house.until(lab, "running")
        return Lab.objects.get(pk=lab.pk)

    def end(self, lab: Lab) -> None:
        lab_end(lab_id=lab.pk, code="asked", now=self.house.now)
        self.house.until(lab, "stopped")


@pytest.fixture
def host(driver: Driver, round_of: Callable[..., Round], tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr(usage, "pool", AtOnce())
    usage.owners_of_pids.clear()
    client().flushdb()
    log = tmp_path / "kmsg"
    log.write_text("4,1,1,-;NVRM: Xid (PCI:0000:3b:00): 79, of a time before this worker began\n")
    made = Host(driver, round_of(), log)
    yield made
    made.probe.close()
    client().flushdb()


def health(uuid: str = ONE) -> str:
    return Gpu.objects.get(pk=uuid).health


def on_card(lab_of: Any, host: Host, owner: User, uuid: str = ONE) -> Lab:
    """A running lab on that card."""
    Gpu.objects.exclude(pk=uuid).update(health="drained")
    lab = host.running(lab_of(owner, gpus=1))
    Gpu.objects.exclude(pk=uuid).update(health="ok")
    assert lab.leases.get(closed_at=None).gpu_id == uuid
    return lab


FAILS = [
    *([f"driver fail={code}", line(ONE), line(TWO)] for code in (15, 18, 999)),
    ["driver hang=1", line(ONE), line(TWO)],
    [line(ONE, fail=15), line(TWO, fail=999)],
    [line(ONE, handle=18), line(TWO, handle=15)],
]


@pytest.mark.parametrize("lines", FAILS, ids=["error-15", "error-18", "error-999", "hangs", "cards", "handles"])
def test_row_20_a_driver_that_fails_or_hangs_makes_cards_unknown_and_ends_no_lab(host: Host, lab_of: Any, alice: User, bob: User, lines: list[str]) -> None:
    lab = on_card(lab_of, host, alice)
    waits = lab_of(bob, gpus=1)
    host.says(*lines)
    host.samples(2)
    assert health() == "ok"
    host.samples(1)
    assert (health(ONE), health(TWO)) == ("unknown", "unknown")
    host.house.tick()
    assert Lab.objects.get(pk=waits.pk).state == "queued"
    assert Lab.objects.get(pk=lab.pk).state == "running"
    assert host.probe.longest_s < 2
    host.says()
    for _ in range(3):
        host.samples()
        if health() == "ok":
            break
        host.driver.start()  # a hanging call holds the thread of the process that made it
    assert host.running(waits).state == "running"


def test_row_20_what_is_read_of_a_hanging_driver_is_its_fault_and_old_numbers_are_not_shown_as_new(host: Host) -> None:
    host.says("driver hang=1", line(ONE), line(TWO))
    host.samples()
    cards = queries.latest_cards(now=host.house.now)
    assert {(card["gpu_pct"], "has not answered" in card["fault"]) for card in cards.values()} == {(None, True)}


#: Xid -> the card's health, what becomes of the lab on it, whether its owner and the administrators are told.
TABLE = [
    (79, "drained", "failed", False, True),
    (48, "drained", "running", True, True),
    (95, "drained", "running", True, True),
    (119, "drained", "running", True, True),
    (63, "drained", "running", True, True),
    (64, "retired", "running", True, True),
    (94, "ok", "running", True, False),
    (13, "ok", "running", True, False),
    (31, "ok", "running", True, False),
    (43, "ok", "running", True, False),
    (45, "ok", "running", False, False),
    (61, "ok", "running", False, False),
]


@pytest.mark.parametrize("source", ["nvml", "kernel"])
def test_row_21_an_xid_does_what_the_table_says(host: Host, lab_of: Any, alice: User, root_admin: User, source: str) -> None:
    for serial, (xid, becomes, state, owner_told, admins_told) in enumerate(TABLE, start=1):
        Gpu.objects.update(health="ok", health_words="")
        Notice.objects.all().delete()
        lab = on_card(lab_of, host, alice)
        if source == "nvml":
            host.says(line(ONE, xid=f"{serial}:{xid}"), line(TWO))
        else:
            host.kernel(f"NVRM: Xid (PCI:0000:3b:00): {xid}, pid=4711, name=python, some words of the driver")
        host.samples(2)
        if state == "failed":
            host.house.until(lab, state)
        lab.refresh_from_db()
        assert (xid, health(ONE), health(TWO), lab.state, len(lab.notices)) == (xid, becomes, "ok", state, owner_told)
        assert (xid, Notice.objects.filter(kind="card_sick", user=root_admin).count()) == (xid, admins_told)
        assert not owner_told or f"Xid {xid}" in lab.notices[0]["words"]
        if state == "failed":
            assert (lab.reason_code, "Xid 79" in lab.reason) == ("gpu_lost", True)
        else:
            host.end(lab)
        host.says()
        host.samples()


def test_row_21_what_is_told_by_both_the_kernel_and_the_driver_counts_once(host: Host, lab_of: Any, alice: User, root_admin: User) -> None:
    lab = on_card(lab_of, host, alice)
    host.says(line(ONE, xid="1:48"), line(TWO))
    host.kernel("NVRM: Xid (PCI:0000:3b:00): 48, pid=4711, name=python")
    host.samples(3)
    lab.refresh_from_db()
    assert (len(lab.notices), Notice.objects.filter(kind="card_sick").count()) == (1, 1)


def test_row_21_the_words_of_a_reset_say_that_many_hosts_cannot_reset_one_card(host: Host, root_admin: User) -> None:
    host.kernel("NVRM: Xid (PCI:0000:3b:00): 63, Row Remapper: New row marked for remapping, reset gpu to activate.")
    host.samples()
    assert "NVLink" in Notice.objects.get(kind="card_sick").words


def test_row_21_a_retired_card_is_not_made_better_by_a_smaller_error_or_a_good_reading(host: Host) -> None:
    host.kernel("NVRM: Xid (PCI:0000:3b:00): 64, pid=1")
    host.samples()
    host.kernel("NVRM: Xid (PCI:0000:3b:00): 48, pid=1")
    host.samples(2)
    assert health() == "retired"


def test_row_21_a_card_that_fell_off_the_bus_is_drained_though_the_driver_does_not_answer(host: Host, lab_of: Any, alice: User) -> None:
    lab = on_card(lab_of, host, alice)
    host.says("driver fail=999")
    host.kernel("NVRM: Xid (PCI:0000:3b:00): 79, pid=4711, GPU has fallen off the bus.")
    host.samples()
    host.house.until(lab, "failed")
    assert health() == "drained"


def test_row_21_memory_that_fails_more_and_more_drains_its_card(host: Host, lab_of: Any, alice: User, root_admin: User) -> None:
    host.says(line(ONE, ecc=3), line(TWO, ecc=3))
    Gpu.objects.filter(pk=ONE).update(ecc_errors=None)
    Gpu.objects.filter(pk=TWO).update(health="drained")
    host.samples()
    assert health(ONE) == "ok"  # where counting begins
    lab = host.running(lab_of(alice, gpus=1))
    host.says(line(ONE, ecc=5), line(TWO, ecc=3))
    host.samples()
    lab.refresh_from_db()
    assert (health(ONE), lab.state, "memory of GPU 0 fails" in lab.notices[0]["words"]) == ("drained", "running", True)
    assert "2 more errors" in Gpu.objects.get(pk=ONE).health_words


def test_row_21_a_contained_error_is_counted_by_the_card_and_drains_nothing(host: Host) -> None:
    host.kernel("NVRM: Xid (PCI:0000:3b:00): 94, pid=4711, name=python, Contained: SM")
    host.says(line(ONE, ecc=1), line(TWO))
    host.samples(2)
    assert health() == "ok"


def test_row_22_cards_in_another_order_and_a_missing_one_change_no_lease(host: Host, lab_of: Any, alice: User, bob: User) -> None:
    mine, other = on_card(lab_of, host, alice, ONE), on_card(lab_of, host, bob, TWO)
    host.says(line(TWO), line(ONE))
    host.samples()
    assert dict(Gpu.objects.values_list("pk", "index")) == {ONE: 1, TWO: 0}
    host.says(line(TWO))
    host.samples(3)
    assert (health(ONE), health(TWO)) == ("unknown", "ok")
    assert dict(Lease.objects.filter(closed_at=None).values_list("lab_id", "gpu_id")) == {mine.pk: ONE, other.pk: TWO}
    assert set(Lab.objects.filter(pk__in=[mine.pk, other.pk]).values_list("state", flat=True)) == {"running"}
    host.says()
    host.samples()
    assert dict(Gpu.objects.values_list("pk", "index")) == {ONE: 0, TWO: 1}


LEFT = [{"proc": "4711:512", "used": 516}, {"used": 4 + 65}]


@pytest.mark.parametrize("left", LEFT, ids=["process", "memory"])
def test_a_card_is_not_given_to_the_next_before_it_is_clean(host: Host, lab_of: Any, alice: User, bob: User, root_admin: User, left: dict[str, Any]) -> None:
    Gpu.objects.filter(pk=TWO).update(health="drained")
    host.says(line(ONE, **left), line(TWO))
    first = host.running(lab_of(alice, gpus=1))
    host.samples()
    host.end(first)
    following = lab_of(bob, gpus=1)
    host.house.tick()
    assert Lab.objects.get(pk=following.pk).state == "queued"
    host.samples(3)
    assert (health(), Notice.objects.count()) == ("ok", 0)  # a moment is given
    host.samples(15)
    assert health() == "held"
    assert Notice.objects.filter(kind="card_sick", user=root_admin).count() == 1
    assert "Held back:" in Gpu.objects.get(pk=ONE).health_words
    assert Lab.objects.get(pk=following.pk).state == "queued"
    host.says()
    host.samples()
    assert (health(), Gpu.objects.get(pk=ONE).held_since) == ("ok", None)
    assert host.running(following).state == "running"


def test_a_clean_card_is_the_next_ones_after_one_look(host: Host, lab_of: Any, alice: User, bob: User) -> None:
    Gpu.objects.filter(pk=TWO).update(health="drained")
    host.end(host.running(lab_of(alice, gpus=1)))
    following = lab_of(bob, gpus=1)
    host.house.tick()
    assert Lab.objects.get(pk=following.pk).state == "queued"
    host.samples()
    assert host.running(following).state == "running"


def test_a_reading_older_than_the_end_of_a_lab_clears_nothing(host: Host, lab_of: Any, alice: User) -> None:
    lab = host.running(lab_of(alice, gpus=1))
    host.end(lab)
    card = lab.leases.get().gpu_id
    sample.tick(hands=host.house.hands, now=Gpu.objects.get(pk=card).held_since)
    assert Gpu.objects.get(pk=card).held_since is not None


def test_slack_and_processes_that_are_allowed_hold_nothing_back(host: Host, settings: Any) -> None:
    host.says(line(ONE, used=4 + 64, proc=f"{os.getpid()}:60"), line(TWO))
    settings.CARD_PROCESSES = frozenset({Path(f"/proc/{os.getpid()}/comm").read_text().strip()})
    host.samples(20)
    assert (health(), Gpu.objects.get(pk=ONE).held_since) == ("ok", None)


def test_a_card_that_an_administrator_puts_back_learns_anew_what_is_usual(host: Host, root_admin: User) -> None:
    host.says(line(ONE, used=500), line(TWO))
    host.samples(18)
    assert health() == "held"
    gpu_health_set(gpu=Gpu.objects.get(pk=ONE), health="ok", words="", actor=root_admin, now=host.house.now)
    host.samples(2)
    assert (health(), Gpu.objects.get(pk=ONE).baseline_mib, Gpu.objects.get(pk=ONE).held_since) == ("ok", 500, None)


def shut(host: Host, lab: Lab, device: str = "/dev/nvidiactl") -> None:
    """From now on the lab's programs can not open its GPUs; empty: they can."""
    host.house.runtime.shut[f"gpulab-{lab.pk}-{lab.attempt}"] = device
    cards.inside_tick(hands=host.house.hands, now=host.house.now)
    lab.refresh_from_db()


def test_row_23_a_lab_that_can_no_longer_open_its_gpu_is_degraded_once_and_well_again_by_itself(host: Host, lab_of: Any, alice: User) -> None:
    lab = on_card(lab_of, host, alice)
    shut(host, lab)
    shut(host, lab)
    assert (lab.state, "Failed to initialize NVML" in lab.degraded) == ("running", True)
    assert Event.objects.filter(kind="lab.degraded", subject=lab.subject).count() == 1
    [told] = Notice.objects.filter(kind="degraded")
    assert told.user_id == alice.pk and "Restart it on its page" in told.words
    shut(host, lab, "")
    assert (lab.degraded, Event.objects.filter(kind="lab.degraded").count()) == ("", 2)


def test_row_23_it_restarts_on_the_same_card_which_nobody_else_gets_in_between(host: Host, lab_of: Any, alice: User, bob: User) -> None:
    lab, other = on_card(lab_of, host, alice), lab_of(bob, gpus=1)
    Gpu.objects.filter(pk=TWO).update(health="drained")
    shut(host, lab)
    ends_at = lab.ends_at
    lab_restart_in_place(lab=lab, actor=alice, now=host.house.now)
    host.house.until(lab, "running", attempt=2)
    lab.refresh_from_db()
    assert [one.gpu_id for one in lab.leases.filter(closed_at=None, attempt=2)] == [ONE]
    assert (lab.degraded, lab.ends_at, lab.gpus, lab.next_gpus) == ("", ends_at, 1, None)
    assert host.house.runtime.specs[lab.pk].gpu_uuids == (ONE,)
    assert Lab.objects.get(pk=other.pk).state == "queued"
    assert Gpu.objects.get(pk=ONE).held_since is None


def test_row_23_a_lab_on_a_slice_restarts_on_its_slice(host: Host, lab_of: Any, alice: User) -> None:
    sliced = line(ONE, mig=1, slice="MIG-one:1g.18gb:1:18176")
    host.says(sliced, line(TWO))
    host.samples()
    lab = host.running(lab_of(alice, gpus=1, wants_slice="1g.18gb"))
    shut(host, lab)
    lab_restart_in_place(lab=lab, actor=alice, now=host.house.now)
    host.house.until(lab, "running", attempt=2)
    lab.refresh_from_db()
    assert (lab.wants_slice, [one.gpu_id for one in lab.leases.filter(closed_at=None)]) == ("1g.18gb", ["MIG-one"])


def test_row_23_a_lab_that_lost_nothing_or_is_taken_back_is_not_restarted(host: Host, lab_of: Any, alice: User) -> None:
    lab = on_card(lab_of, host, alice)
    with pytest.raises(Refused):
        lab_restart_in_place(lab=lab, actor=alice, now=host.house.now)
    shut(host, lab)
    Reclaim.objects.create(lab=lab, attempt=1, taken_for=lab_of(alice), noticed_at=host.house.now, ends_at=host.house.now)
    with pytest.raises(Refused, match="taken back"):
        lab_restart_in_place(lab=lab, actor=alice, now=host.house.now)


def test_row_23_an_engine_that_does_not_answer_degrades_nobody(host: Host, lab_of: Any, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = on_card(lab_of, host, alice)

    def deaf(name: str) -> str:
        raise RuntimeFault("The engine does not answer.")

    monkeypatch.setattr(host.house.runtime, "device_shut", deaf)
    cards.inside_tick(hands=host.house.hands, now=host.house.now)
    lab.refresh_from_db()
    assert (lab.state, lab.degraded) == ("running", "")


def test_row_23_no_container_is_ever_updated() -> None:
    """`docker update` makes the engine write the container's list of devices anew, without its GPUs."""
    files = Path(__file__).parents[2].joinpath("worker/runtimes/docker").glob("*.py")
    assert not [file.name for file in files if "update_container" in file.read_text() or ".update(container" in file.read_text()]
