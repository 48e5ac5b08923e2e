"""The same click twice makes one lab."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from labs.lifecycle.models import Lab


@pytest.mark.django_db
def test_the_same_key_answers_201_then_200_with_the_same_lab(calls: Any, alice: Any, wish: Any) -> None:
    caller = calls(alice)
    first, second = caller.post("/labs", wish, key="k1"), caller.post("/labs", wish, key="k1")
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"] and Lab.objects.count() == 1


@pytest.mark.django_db
def test_a_key_is_ones_own(calls: Any, alice: Any, charlie: Any, wish: Any) -> None:
    answers = [calls(user).post("/labs", wish, key="k1") for user in (alice, charlie)]
    assert [answer.status_code for answer in answers] == [201, 201] and Lab.objects.count() == 2


@pytest.mark.django_db
def test_a_refused_wish_does_not_use_its_key_up(calls: Any, bob: Any, wish: Any) -> None:
    caller = calls(bob)
    assert caller.post("/labs", wish | {"gpus": 2}, key="k1").status_code == 422
    assert caller.post("/labs", wish, key="k1").status_code == 201


@pytest.mark.django_db
@pytest.mark.parametrize("other", [{"shm_gib": 2}, {"gpus": 0}, {"cpus": 3}, {"memory_gib": 5}, {"hours": 3}, {"name": "second"}], ids=str)
def test_a_key_that_comes_back_with_another_wish_is_told(calls: Any, alice: Any, wish: Any, other: Any) -> None:
    caller = calls(alice)
    caller.post("/labs", wish, key="k1")
    answer = caller.post("/labs", wish | other, key="k1")
    assert answer.status_code == 422 and answer.json()["code"] == "key_reused" and Lab.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_ten_clicks_at_once_with_one_key_make_one_lab(calls: Any, alice: Any, wish: Any) -> None:
    caller, together = calls(alice), Barrier(10)

    def click(_: int) -> tuple[int, str]:
        together.wait()
        try:
            answer = caller.post("/labs", wish, key="one-click")
            return answer.status_code, answer.json().get("id", answer.content)
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(click, range(10)))
    assert Lab.objects.count() == 1
    assert sorted(status for status, _ in answers) == [200] * 9 + [201]
    assert len({lab for _, lab in answers}) == 1
