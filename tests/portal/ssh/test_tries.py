"""Who knocks too often waits longer for the same no; who has the right key never waits."""

import pytest

from portal.ssh.tries import FREE, HALF_LIFE_S, REFUSAL_S, SLOWEST_S, STRANGERS_ALL, STRANGERS_EACH, Tries, place_of


def test_a_refusal_takes_its_usual_time_until_somebody_knocks_too_often() -> None:
    tries = Tries()
    for _ in range(int(FREE)):
        tries.failed("192.0.2.1", "resnet", now=0.0)
    assert tries.refusal_s("192.0.2.1", "resnet", now=0.0) == REFUSAL_S
    for _ in range(3):
        tries.failed("192.0.2.1", "resnet", now=0.0)
    assert tries.refusal_s("192.0.2.1", "resnet", now=0.0) == pytest.approx(8 * REFUSAL_S)
    for _ in range(100):
        tries.failed("192.0.2.1", "resnet", now=0.0)
    assert tries.refusal_s("192.0.2.1", "resnet", now=0.0) == SLOWEST_S


def test_an_address_is_slowed_under_every_name_and_a_name_from_every_address() -> None:
    tries = Tries()
    for number in range(60):
        tries.failed("192.0.2.1", f"lab-{number}", now=0.0)
        tries.failed(f"198.51.100.{number}", "resnet", now=0.0)
    assert tries.refusal_s("192.0.2.1", "never tried", now=0.0) == SLOWEST_S
    assert tries.refusal_s("203.0.113.9", "resnet", now=0.0) == SLOWEST_S
    assert tries.refusal_s("203.0.113.9", "never tried", now=0.0) == REFUSAL_S


def test_what_was_tried_is_forgotten_with_time() -> None:
    tries = Tries()
    for _ in range(100):
        tries.failed("192.0.2.1", "resnet", now=0.0)
    assert tries.refusal_s("192.0.2.1", "resnet", now=3 * HALF_LIFE_S) == REFUSAL_S


def test_only_so_many_that_show_no_key_stand_at_the_door() -> None:
    tries = Tries()
    assert [tries.enter("192.0.2.1") for _ in range(STRANGERS_EACH + 1)] == [True] * STRANGERS_EACH + [False]
    tries.known("192.0.2.1")
    assert tries.enter("192.0.2.1")
    others = [tries.enter(f"198.51.{number // 250}.{number % 250}") for number in range(STRANGERS_ALL)]
    assert others.count(True) == STRANGERS_ALL - STRANGERS_EACH


def test_one_network_of_ipv6_counts_as_one_address() -> None:
    assert place_of("2001:db8:1:2:3::4") == place_of("2001:db8:1:2:ffff::1%eth0") != place_of("2001:db8:1:3::4")
    assert place_of("::ffff:192.0.2.1") == place_of("192.0.2.1") == "192.0.2.1"
