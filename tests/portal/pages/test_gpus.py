"""The cards' pages as the server renders them: right before any script runs, and to each only what is theirs to see."""

from collections.abc import Iterator

import pytest
import redis
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labs.bus.redis import client as redis_client
from labs.fleet.models import Gpu, Node
from labs.lifecycle.models import Lab, Lease
from labs.telemetry import shelf
from labs.telemetry.models import GpuMinute
from labs.telemetry.services import readings_record

ONE = "GPU-00000000-test"


@pytest.fixture(autouse=True)
def _empty_shelf(redis_url: str) -> Iterator[None]:
    redis_client().flushdb()
    yield
    redis_client().flushdb()


@pytest.fixture
def held(node: Node, lab_of, alice, now) -> Lab:
    """Alice's lab holds the first of two cards and runs a process on it."""
    lab = lab_of(alice, gpus=1, name="resnet")
    Lab.objects.filter(pk=lab.pk).update(state="running", node_id=node.pk)
    Lease.objects.create(lab=lab, gpu_id=ONE, attempt=1, opened_at=now)
    process = {"pid": 4242, "name": "python", "command": "python secret_train.py", "memory_mib": 2048, "lab": lab.pk}
    cards = [
        {
            "uuid": gpu.uuid, "index": gpu.index, "model": gpu.model, "memory_total_mib": 143771, "memory_used_mib": 71885, "gpu_pct": 87, "memory_pct": 40,
            "temperature_c": 51, "power_w": 412.4, "power_limit_w": 700.0, "sm_mhz": 1980, "memory_mhz": 3201, "ecc_errors": 0, "fault": "",
            "holder": None, "processes": [process] if gpu.uuid == ONE else [],
        }
        for gpu in node.gpus.all()
    ]  # fmt: skip
    readings_record(node_id=node.pk, readings=cards, now=now)
    return lab


def _text(browser: Client, name: str, *arguments: str) -> str:
    answer = browser.get(reverse(name, args=arguments))
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_grid_shows_every_number_without_a_script(as_bob, held):
    text = _text(as_bob, "gpus")
    for words in (
        "NVIDIA H200",
        "87 %",
        "70.2 of 140.4 GiB",
        "51 °C",
        "412 of 700 W",
        "1980 / 3201 MHz",
        "Healthy",
        '<span data-free="card">1</span> of 2 GPUs free now',
        "driver 580.65.06 · CUDA 13.0",
    ):
        assert words in text


@pytest.mark.parametrize("page", ["gpus", "gpu"])
def test_a_colleague_learns_that_a_card_is_in_use_and_no_more(as_bob, held, page):
    text = _text(as_bob, page, *([ONE] if page == "gpu" else []))
    assert "in use" in text
    for secret in ("Alice", "resnet", "secret_train", held.pk):
        assert secret not in text


def test_the_holder_sees_you_and_their_processes(as_alice, held):
    assert "you (resnet)" in _text(as_alice, "gpus")
    text = _text(as_alice, "gpu", ONE)
    assert "python secret_train.py" in text
    assert reverse("lab", args=[held.pk]) in text


def test_an_administrator_sees_the_name_and_the_processes(as_root, held):
    assert "Alice (resnet)" in _text(as_root, "gpus")
    assert "python secret_train.py" in _text(as_root, "gpu", ONE)


def test_the_wall_names_nobody_not_even_to_an_administrator(as_root, as_alice, held):
    for browser in (as_root, as_alice):
        text = _text(browser, "gpus_wall")
        assert "in use" in text
        assert "resnet" not in text
        assert "data-anonymous" in text


def test_a_stranger_is_sent_to_the_sign_in_page(db):
    for name in ("gpus", "gpus_wall", "gpus_health"):
        answer = Client().get(reverse(name))
        assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (302, reverse("account_login"))


def test_a_card_that_is_none_is_not_found(as_alice, node):
    assert as_alice.get(reverse("gpu", args=["GPU-none"])).status_code == 404


def test_simulated_cards_are_called_so(as_alice, node):
    assert "SIMULATED" not in _text(as_alice, "gpus")
    Node.objects.update(probe_kind="simulated", probe_words="SIMULATED cards: this machine has no NVIDIA driver.")
    Gpu.objects.update(simulated=True, model="SIMULATED H200")
    for name in ("gpus", "gpus_wall"):
        assert "tag-simulated" in _text(as_alice, name)
    assert "tag-simulated" in _text(as_alice, "gpu", ONE)


def test_a_driver_that_fails_is_shown_in_words_and_not_simulated_over(as_alice, node, now):
    readings_record(node_id=node.pk, readings=[], now=now, fault="The NVIDIA driver has not answered for 7 s.")
    text = _text(as_alice, "gpus")
    assert "has not answered for 7 s" in text
    assert "SIMULATED" not in text


def test_without_readings_the_cards_of_the_record_are_shown_as_last_known(as_alice, node):
    text = _text(as_alice, "gpus")
    assert "No reading has come" in text
    assert text.count("data-gpu=") == 2


def test_the_page_answers_while_redis_is_down(as_alice, node, monkeypatch):
    gone = redis.Redis(port=1, socket_connect_timeout=0.2)
    monkeypatch.setattr(shelf, "client", lambda: gone)
    assert "No reading has come" in _text(as_alice, "gpus")


def test_a_house_without_nodes_says_what_will_happen(as_alice):
    assert "No node has reported yet" in _text(as_alice, "gpus")


def test_a_card_that_is_out_of_service_is_not_called_free(as_alice, held):
    Gpu.objects.filter(index=1).update(health="drained", health_words="Fan is being replaced.")
    text = _text(as_alice, "gpus")
    assert '<span data-free="card">0</span> of 2 GPUs free now, 1 out of use' in text
    assert "nobody" in text
    assert "Fan is being replaced." in _text(as_alice, "gpus_health")


def test_home_and_the_cards_page_count_alike_when_one_does_not_answer(as_alice: Client, held) -> None:
    Gpu.objects.filter(index=1).update(health="unknown")
    words = '<span data-free="card">0</span> of 2 GPUs free now, 1 out of use'
    assert all(words in as_alice.get(reverse(page)).content.decode() for page in ("home", "gpus", "gpus_wall"))


def test_a_cards_day_is_drawn_from_its_minutes(as_alice, held, now):
    assert "Nothing yet" in _text(as_alice, "gpu", ONE)
    GpuMinute.objects.create(gpu_id=ONE, minute=now.replace(second=0, microsecond=0), gpu_pct_avg=42.5, memory_mib_max=71885)
    text = _text(as_alice, "gpu", ONE)
    assert '"gpu": [42.5]' in text
    assert '"memory": [50.0]' in text


def test_the_number_of_queries_does_not_grow_with_the_cards(as_alice, node):
    def count() -> int:
        with CaptureQueriesContext(connection) as asked:
            _text(as_alice, "gpus")
        return len(asked)

    count()  # the first visit is noted in the list of sessions
    with_two = count()
    for index in range(2, 16):
        Gpu.objects.create(uuid=f"GPU-more-{index}", node=node, index=index, model="NVIDIA H200")
    assert count() == with_two <= 13


def test_a_sliced_card_shows_its_slices_and_is_not_called_free(as_alice: Client, node: Node) -> None:
    Gpu.objects.filter(pk="GPU-00000000-test").update(mig=True)
    for uuid in ("MIG-one", "MIG-two"):
        Gpu.objects.create(uuid=uuid, node=node, index=0, model="NVIDIA H200", parent_id="GPU-00000000-test", profile="1g.18gb", share=1 / 7)
    answer = as_alice.get(reverse("gpus"))
    page = answer.content.decode()
    count = answer.context["count"]
    assert (count.cards, count.free, count.slices, count.slices_free) == (1, 1, 2, 2)
    assert page.count("slice 1g.18gb") == 2
    assert page.count("given out in slices") == 1
