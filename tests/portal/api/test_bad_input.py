"""What cannot be is refused with a clear 4xx in problem details, and nothing changes."""

from datetime import timedelta
from typing import Any

import pytest

from labs.ledger.models import Event
from labs.lifecycle.models import Lab, Lease
from labs.people.models import User

pytestmark = pytest.mark.django_db

HUGE = 10**30
SIZES = ["gpus", "cpus", "memory_gib", "shm_gib", "hours"]
NO_SIZE = [-1, HUGE, -HUGE, 2**31, 2**63, 1.5, "1", "", "one", True, False, [], [1], {}, {"a": 1}]
NAMES = [
    "A",
    "Upper",
    "1lab",
    "-lab",
    "lab-",
    "la b",
    " lab",
    "lab\n",
    "lab\0",
    "läb",
    "实验",
    "\u202elab",
    "\U0001f600",
    "a" * 33,
    "a" * 100_000,
    "../etc",
    "a/b",
    "a.b",
    "lab;rm",
    "$(id)",
    "<b>",
    "'",
    '"',
    "%00",
    5,
    True,
    None,
    [],
    {},
]
BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"1",
    b'"lab"',
    b"\xff\xfe",
    b"{}",
    b"[" * 100_000,
    b'{"image": NaN}',
    b'{"image": Infinity}',
    b'{"image": 1e400}',
    b"9" * 5000,
]
IDS = ["aaaaaaaaaaaa", "x", "a" * 5000, "%00", "a%00b", "..", "%2e%2e", "%F0%9F%98%80", "%ff", "%0a", "1 OR 1=1", "%27", "-1", str(10**30)]
QUERIES = [
    "limit=0",
    "limit=101",
    "limit=-1",
    "limit=x",
    f"limit={HUGE}",
    "live=perhaps",
    "cursor=x",
    "cursor=%00",
    "cursor=%F0%9F%98%80",
    "cursor=a:b:c",
]
HEADERS_KEY = ["a b", "ä", "k" * 81, "tab\tkey", "\x7f"]


def assert_refused(answer: Any, *statuses: int) -> None:
    """A problem with words, and nothing made."""
    assert answer.status_code in (statuses or (400, 409, 422)), answer.content[:300]
    problem = answer.json()
    assert answer["Content-Type"] == "application/problem+json"
    assert problem["status"] == answer.status_code and len(problem["detail"]) > 5 and problem["title"] and problem["code"] and problem["type"] == "about:blank"
    assert not Lab.objects.exists() and not Event.objects.filter(kind__startswith="lab.").exists()


@pytest.mark.parametrize("value", NO_SIZE, ids=repr)
@pytest.mark.parametrize("field", ["image", *SIZES])
def test_a_size_that_is_none_is_refused(calls: Any, alice: Any, wish: Any, field: str, value: Any) -> None:
    assert_refused(calls(alice).post("/labs", wish | {field: value}))


@pytest.mark.parametrize("field", ["image", "cpus", "memory_gib", "shm_gib", "hours"])
def test_nothing_at_all_is_no_size(calls: Any, alice: Any, wish: Any, field: str) -> None:
    assert_refused(calls(alice).post("/labs", wish | {field: 0}))
    if field != "shm_gib":  # there it means half of the memory
        assert_refused(calls(alice).post("/labs", wish | {field: None}))


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:20])
def test_a_name_that_is_none_is_refused(calls: Any, alice: Any, wish: Any, name: Any) -> None:
    assert_refused(calls(alice).post("/labs", wish | {"name": name}))


@pytest.mark.parametrize("model", ["H100\0", "é", "x" * 97, "no such card", 7, None, []], ids=lambda model: ascii(model)[:20])
def test_a_model_that_is_none_is_refused(calls: Any, alice: Any, wish: Any, model: Any) -> None:
    assert_refused(calls(alice).post("/labs", wish | {"gpu_model": model}))


@pytest.mark.parametrize("body", BODIES, ids=lambda body: ascii(body[:20]))
def test_a_body_that_is_no_wish_is_refused(calls: Any, alice: Any, node: Any, body: bytes) -> None:
    assert_refused(calls(alice).post("/labs", raw=body))


def test_half_a_surrogate_in_a_name_is_refused(calls: Any, alice: Any, wish: Any) -> None:
    assert_refused(calls(alice).post("/labs", raw=b'{"image": %d, "name": "\\ud800"}' % wish["image"]))


def test_a_body_beyond_the_limit_is_refused(calls: Any, alice: Any, wish: Any) -> None:
    assert_refused(calls(alice).post("/labs", wish | {"name": "a" * 2_000_000}), 413)


@pytest.mark.parametrize("field", ["Gpus", "owner", "state", "id", "memory_gib ", "idempotency_key"])
def test_an_unknown_field_is_a_mistake_that_is_told(calls: Any, alice: Any, wish: Any, field: str) -> None:
    answer = calls(alice).post("/labs", wish | {field: 1})
    assert_refused(answer, 422)
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("key", HEADERS_KEY, ids=ascii)
def test_a_key_that_is_none_is_refused(calls: Any, alice: Any, wish: Any, key: str) -> None:
    answer = calls(alice).post("/labs", wish, key=key)
    assert_refused(answer, 422)
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize("asked", [{"shm_gib": 5}, {"memory_gib": 129}, {"cpus": 33}, {"gpus": 5}, {"hours": 73}, {"shm_gib": 33, "memory_gib": 64}], ids=str)
def test_a_wish_above_the_cap_is_refused_by_field(calls: Any, alice: Any, wish: Any, asked: dict[str, int]) -> None:
    answer = calls(alice).post("/labs", wish | asked)
    assert_refused(answer, 422)
    assert answer.json()["errors"][0]["field"] in asked


def test_an_image_that_is_unknown_or_retired_is_refused(calls: Any, alice: Any, wish: Any, image: Any) -> None:
    assert_refused(calls(alice).post("/labs", wish | {"image": image.pk + 1}), 422)
    image.is_active = False
    image.save()
    assert_refused(calls(alice).post("/labs", wish), 422)


@pytest.mark.parametrize("hours", [0, -1, HUGE, 2**63, 1.5, "2", True, None, [], {}], ids=repr)
def test_an_extension_that_is_none_changes_nothing(calls: Any, alice: Any, lab_of: Any, running: Any, hours: Any) -> None:
    lab = running(lab_of(alice), [])
    assert calls(alice).post(f"/labs/{lab.pk}/extend", {"hours": hours}).status_code == 422
    assert Lab.objects.get().ends_at == lab.ends_at


@pytest.mark.parametrize("lab_id", IDS, ids=lambda text: text[:12])
@pytest.mark.parametrize("tail", ["", "/stop", "/extend"])
def test_an_id_of_nothing_is_404(calls: Any, alice: Any, lab_of: Any, lab_id: str, tail: str) -> None:
    lab = lab_of(alice)
    caller = calls(alice)
    answer = caller.post(f"/labs/{lab_id}{tail}", {"hours": 1}) if tail else caller.get(f"/labs/{lab_id}")
    assert answer.status_code in (404, 405) and answer["Content-Type"] == "application/problem+json"
    assert Lab.objects.get().state == lab.state and not Lease.objects.exists()


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_that_is_none_is_refused(calls: Any, alice: Any, node: Any, query: str) -> None:
    answer = calls(alice).get(f"/labs?{query}")
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == query.split("=")[0]


def test_words_with_a_character_that_no_database_keeps_are_refused(calls: Any, alice: Any, root_admin: Any, lab_of: Any, now: Any) -> None:
    asked = {"asked": {"labs": 9}, "until": str((now + timedelta(days=9)).date())}
    words, lab, root = "for\0ever", lab_of(alice), calls(root_admin)
    made = calls(alice).post("/me/requests", asked | {"why": "the last chapter,\non two cards"}).json()
    answers = [
        calls(alice).post("/me/requests", asked | {"why": words}),
        *(root.post(f"/requests/{made['id']}/answer", {"grant": grant, "answer": words}) for grant in (True, False)),
        root.post(f"/labs/{lab.pk}/move", {"to": "first", "reason": words}),
    ]
    told = [(answer.status_code, answer.json()["errors"][0]["field"]) for answer in answers]
    assert told == [(422, "why"), (422, "answer"), (422, "answer"), (422, "reason")]


def test_pages_go_on_behind_the_longest_name_in_any_script(calls: Any, alice: Any, root_admin: Any) -> None:
    User.objects.filter(pk=alice.pk).update(display_name="\U00020bb7" * 100)
    User.objects.filter(pk=root_admin.pk).update(display_name="\U00020bb8")
    after = calls(root_admin).get("/people?limit=1").json()["next"].partition("/api/v1")[2]
    assert [one["id"] for one in calls(root_admin).get(after).json()["items"]] == [root_admin.pk]


def test_a_cursor_of_one_list_is_none_of_another(calls: Any, alice: Any, node: Any) -> None:
    cursor = calls(alice).get("/gpus?limit=1").json()["next"].split("cursor=")[1].split("&")[0]
    assert calls(alice).get(f"/images?cursor={cursor}").status_code == 422


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/labs", "/labs/aaaaaaaaaaaa", "/gpus", "/me"])
def test_another_method_is_405_and_says_which_are_taken(calls: Any, alice: Any, method: str, path: str) -> None:
    answer = calls(alice).send(method, path)
    assert answer.status_code == 405 and answer["Content-Type"] == "application/problem+json" and "GET" in answer["Allow"]


@pytest.mark.parametrize("path", ["/", "/nothing", "/labs/", "/openapi.yaml", "/docs"])
def test_an_address_of_nothing_is_a_problem_too(calls: Any, alice: Any, path: str) -> None:
    answer = calls(alice).get(path)
    assert answer.status_code == 404 and answer["Content-Type"] == "application/problem+json"
