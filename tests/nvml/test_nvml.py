"""The real pynvml code path, over a C library that stands in for the driver's."""

import os
from pathlib import Path

import pytest

from tests.contracts.test_probes import holds
from tests.nvml.conftest import Driver
from tests.support.waiting import wait_for
from worker.probes.base import GpuReading

ONE = "gpu GPU-aaaa name=NVIDIA_H200 total=143771 used=61440 util=87 temp=51 power=412500"
TWO = "gpu GPU-bbbb name=NVIDIA_H200 total=143771 used=0 util=0 temp=30 power=75000"


def _by_uuid(answer: dict) -> dict:
    return {card["uuid"]: card for card in answer["reading"]["gpus"]}


def test_a_card_is_read_with_every_metric(driver: Driver) -> None:
    driver.says(ONE, TWO)
    answer = driver.read()["reading"]
    assert (answer["kind"], answer["driver"], answer["cuda"]) == ("nvml", "580.65.06", "13.0")
    card = answer["gpus"][0]
    assert card == {
        "uuid": "GPU-aaaa",
        "index": 0,
        "model": "NVIDIA H200",
        "memory_total_mib": 143771,
        "memory_used_mib": 61440,
        "gpu_pct": 87,
        "memory_pct": 43,
        "temperature_c": 51,
        "power_w": 412.5,
        "power_limit_w": 700.0,
        "sm_mhz": 1980,
        "memory_mhz": 3201,
        "ecc_errors": 0,
        "compute_capability": "9.0",
        "processes": [],
        "fault": "",
        "mig": False,
        "parent": "",
        "profile": "",
        "share": 1.0,
        "place": ["numa0", "switch0", "nvlink0"],
        "pci": "",
    }


def test_a_process_is_named_from_proc(driver: Driver) -> None:
    driver.says(f"{ONE} proc={os.getpid()}:512 proc=4000000:16")
    mine, gone = _by_uuid(driver.read())["GPU-aaaa"]["processes"]
    assert mine["memory_mib"] == 512
    assert "pytest" in mine["command"]
    assert mine["name"]
    assert (gone["pid"], gone["name"], gone["command"]) == (4000000, "", "")


@pytest.mark.parametrize(("code", "words"), [(15, "error 15"), (18, "error 18"), (999, "error 999")])
def test_a_card_that_fails_is_a_reading_with_its_fault_and_the_other_card_goes_on(driver: Driver, code: int, words: str) -> None:
    driver.says(ONE, TWO)
    driver.read()
    driver.says(f"{ONE} fail={code}", TWO)
    cards = _by_uuid(driver.read())
    assert words in cards["GPU-aaaa"]["fault"]
    assert (cards["GPU-aaaa"]["model"], cards["GPU-aaaa"]["memory_total_mib"]) == ("NVIDIA H200", 143771)
    assert cards["GPU-aaaa"]["gpu_pct"] is None
    assert (cards["GPU-bbbb"]["fault"], cards["GPU-bbbb"]["temperature_c"]) == ("", 30)


def test_a_card_that_gives_no_handle_keeps_its_name_and_uuid(driver: Driver) -> None:
    driver.says(ONE, TWO)
    driver.read()
    driver.says(f"{ONE} handle=15", TWO)
    cards = _by_uuid(driver.read())
    assert "lost" in cards["GPU-aaaa"]["fault"]
    assert cards["GPU-aaaa"]["model"] == "NVIDIA H200"


def test_a_card_that_vanishes_is_still_told_of(driver: Driver) -> None:
    driver.says(ONE, TWO)
    driver.read()
    driver.says(TWO)
    cards = _by_uuid(driver.read())
    assert "no longer lists" in cards["GPU-aaaa"]["fault"]
    assert cards["GPU-bbbb"]["fault"] == ""


def test_a_lost_card_that_comes_back_is_healthy_again(driver: Driver) -> None:
    driver.says(f"{ONE} fail=15")
    assert _by_uuid(driver.read())["GPU-aaaa"]["fault"]
    driver.says(ONE)
    assert _by_uuid(driver.read())["GPU-aaaa"]["fault"] == ""


def test_cards_in_another_order_keep_their_identity(driver: Driver) -> None:
    driver.says(ONE, TWO)
    driver.read()
    driver.says(TWO, ONE)
    cards = _by_uuid(driver.read())
    assert (cards["GPU-aaaa"]["index"], cards["GPU-aaaa"]["gpu_pct"]) == (1, 87)
    assert (cards["GPU-bbbb"]["index"], cards["GPU-bbbb"]["gpu_pct"]) == (0, 0)
    assert len(cards) == 2


def test_a_metric_that_is_not_supported_costs_only_itself(driver: Driver) -> None:
    driver.says(f"{ONE} metric=3")
    card = _by_uuid(driver.read())["GPU-aaaa"]
    assert card["power_w"] is None
    assert (card["fault"], card["gpu_pct"]) == ("", 87)


def test_a_function_that_an_old_driver_lacks_costs_only_its_metric(old_driver: Driver) -> None:
    old_driver.says(ONE)
    card = _by_uuid(old_driver.read())["GPU-aaaa"]
    assert card["ecc_errors"] is None
    assert (card["fault"], card["gpu_pct"]) == ("", 87)


@pytest.mark.parametrize(("code", "words"), [(18, "Restart the host"), (999, "unknown error"), (15, "lost")])
def test_a_driver_that_fails_is_told_in_words_and_heals(driver: Driver, code: int, words: str) -> None:
    driver.says(f"driver fail={code}", ONE)
    assert words in driver.read()["fault"]
    driver.says(ONE)
    assert _by_uuid(driver.read())["GPU-aaaa"]["fault"] == ""


def test_a_driver_that_hangs_holds_nobody_up_and_is_read_again_when_it_answers(driver: Driver) -> None:
    driver.says(ONE)
    driver.read()
    driver.says("driver hang=1", ONE)
    for _ in range(3):
        answer = driver.read()
        assert "has not answered" in answer["fault"]
        assert answer["seconds"] < 2
    driver.says(ONE)
    wait_for(lambda: "reading" in driver.read(), within=60, what="the reading after the hang", every=0.2)


def _machine(root: Path, *, module: bool = False, card: bool = False) -> Path:
    if module:
        (root / "proc/driver/nvidia").mkdir(parents=True)
        (root / "proc/driver/nvidia/version").write_text("NVRM version: 580.65.06")
    if card:
        device = root / "sys/bus/pci/devices/0000:18:00.0"
        device.mkdir(parents=True)
        (device / "vendor").write_text("0x10de\n")
        (device / "class").write_text("0x030200\n")
    return root


def test_a_machine_whose_driver_answers_takes_nvml(driver: Driver, tmp_path: Path) -> None:
    driver.says(ONE)
    assert driver.ask(f"choose {_machine(tmp_path / 'm')}")["kind"] == "nvml"


@pytest.mark.parametrize("code", [15, 18, 999])
def test_a_machine_whose_driver_fails_is_never_simulated(driver: Driver, tmp_path: Path, code: int) -> None:
    driver.says(f"driver fail={code}")
    assert driver.ask(f"choose {_machine(tmp_path / 'm')}")["kind"] == "nvml"
    assert str(code) in driver.read()["fault"]


def test_a_driver_that_is_not_loaded_is_a_fault_where_there_is_a_card(driver: Driver, tmp_path: Path) -> None:
    driver.says("driver fail=9")
    assert driver.ask(f"choose {_machine(tmp_path / 'm', card=True)}")["kind"] == "nvml"
    assert "not loaded" in driver.read()["fault"]


def test_the_library_without_any_card_is_simulated(driver: Driver, tmp_path: Path) -> None:
    driver.says("driver fail=9")
    answer = driver.ask(f"choose {_machine(tmp_path / 'm')}")
    assert answer["kind"] == "simulated"
    assert "SIMULATED" in answer["words"]


def test_a_machine_without_the_library_is_simulated_with_words(driver: Driver, tmp_path: Path) -> None:
    (driver.folder / "libnvidia-ml.so.1").write_bytes(b"")
    answer = driver.ask(f"choose {_machine(tmp_path / 'm')}")
    assert answer["kind"] == "simulated"
    assert "no NVIDIA driver" in answer["words"]


def test_a_loaded_driver_without_its_library_is_a_fault(driver: Driver, tmp_path: Path) -> None:
    (driver.folder / "libnvidia-ml.so.1").write_bytes(b"")
    assert driver.ask(f"choose {_machine(tmp_path / 'm', module=True)}")["kind"] == "nvml"
    assert "libnvidia-ml" in driver.read()["fault"]


def test_it_keeps_the_contract_of_every_probe(driver: Driver) -> None:
    driver.says(ONE, f"{TWO} fail=15", f"gpu GPU-cccc name=NVIDIA_H200 total=100 used=100 util=100 temp=80 power=700000 proc={os.getpid()}:90")
    first, second = driver.read(), driver.read()
    cards = [GpuReading(**card) for card in first["reading"]["gpus"]]
    holds(cards)
    assert [one.uuid for one in cards] == list(_by_uuid(second))
    assert max(first["seconds"], second["seconds"]) < 2


SLICED = "gpu GPU-aaaa name=NVIDIA_H200 total=143771 used=2048 util=0 temp=40 power=90000 mig=1 slice=MIG-one:3g.71gb:3:72704 slice=MIG-two:1g.18gb:1:18176"


def test_a_card_in_mig_mode_is_read_with_its_slices_each_by_its_own_uuid(driver: Driver) -> None:
    driver.says(SLICED, TWO)
    cards = _by_uuid(driver.read())
    assert [(uuid, card["parent"], card["profile"], round(card["share"], 3)) for uuid, card in cards.items()] == [
        ("GPU-aaaa", "", "", 1.0),
        ("MIG-one", "GPU-aaaa", "3g.71gb", 0.429),
        ("MIG-two", "GPU-aaaa", "1g.18gb", 0.143),
        ("GPU-bbbb", "", "", 1.0),
    ]
    assert (cards["GPU-aaaa"]["mig"], cards["GPU-bbbb"]["mig"]) == (True, False)
    assert (cards["MIG-one"]["model"], cards["MIG-one"]["memory_total_mib"], cards["MIG-one"]["compute_capability"]) == ("NVIDIA H200", 72704, "9.0")


def test_a_slice_has_no_utilisation_of_its_own_and_is_healthy_without_it(driver: Driver) -> None:
    driver.says(SLICED)
    cards = _by_uuid(driver.read())
    assert [(cards[uuid]["gpu_pct"], cards[uuid]["temperature_c"], cards[uuid]["fault"]) for uuid in ("MIG-one", "MIG-two")] == [(None, None, "")] * 2
    assert cards["GPU-aaaa"]["gpu_pct"] is None


def test_an_old_driver_that_does_not_name_the_profile_has_it_made_of_the_parts(old_driver: Driver) -> None:
    old_driver.says(SLICED)
    assert _by_uuid(old_driver.read())["MIG-one"]["profile"] == "3g.71gb"


def test_a_sick_cards_slices_are_sick(driver: Driver) -> None:
    driver.says(f"{SLICED} metric=999")
    assert "error 999" in _by_uuid(driver.read())["MIG-one"]["fault"]


def test_cards_know_how_near_they_are(driver: Driver) -> None:
    """Four cards: the first two by NVLink, the third on their switch, the last on another socket."""
    four = [f"gpu GPU-{n} name=NVIDIA_A40 total=100 used=0 util=0 temp=30 power=1000" for n in range(4)]
    driver.says(*four, "far 0 1 -1", "far 0 2 10", "far 1 2 20")
    places = {uuid: card["place"] for uuid, card in _by_uuid(driver.read()).items()}
    assert places == {
        "GPU-0": ["numa0", "switch0", "nvlink0"],
        "GPU-1": ["numa0", "switch0", "nvlink0"],
        "GPU-2": ["numa0", "switch0", "nvlink2"],
        "GPU-3": ["numa3", "switch3", "nvlink3"],
    }


def test_a_card_tells_its_place_on_the_bus_as_the_kernels_log_writes_it(driver: Driver) -> None:
    driver.says(f"{ONE} pci=00000000:3B:00.0", TWO)
    assert [card["pci"] for card in driver.read()["reading"]["gpus"]] == ["0000:3b:00", ""]
    driver.says(f"{ONE} pci=00000000:3B:00.0 fail=15", TWO)
    assert _by_uuid(driver.read())["GPU-aaaa"]["pci"] == "0000:3b:00"


def test_an_xid_is_told_once_and_by_the_cards_uuid(driver: Driver) -> None:
    driver.says(ONE, TWO)
    assert driver.read()["reading"]["xids"] == []
    driver.says(ONE, f"{TWO} xid=1:79")
    assert [driver.read()["reading"]["xids"] for _ in range(2)] == [[{"card": "GPU-bbbb", "code": 79}], []]


def test_xids_are_told_again_after_the_driver_was_away(driver: Driver) -> None:
    driver.says(ONE)
    driver.read()
    driver.says("driver fail=999", ONE)
    driver.read()
    driver.says(f"{ONE} xid=1:48")
    answers = [driver.read()["reading"]["xids"] for _ in range(2)]
    assert [{"card": "GPU-aaaa", "code": 48}] in answers


def test_a_driver_without_events_is_read_all_the_same(old_driver: Driver) -> None:
    old_driver.says(f"{ONE} xid=1:79")
    answer = old_driver.read()["reading"]
    assert (answer["xids"], answer["gpus"][0]["gpu_pct"]) == ([], 87)
