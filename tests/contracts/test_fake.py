"""The runtime in memory keeps the contract, and its variants fail as their names say."""

import threading
from collections.abc import Callable

import pytest

from tests.contracts.runtime_contract import RuntimeContract, get, jupyter_of, named
from tests.contracts.specs import Maker
from worker.runtimes.base import LabSpec, RuntimeFault
from worker.runtimes.fake import FakeRuntime, NeverReadyRuntime, RefusingRuntime, SlowRuntime

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def make_spec() -> Callable[..., LabSpec]:
    return Maker(image="pytorch:test", node_id="n1")


class TestFake(RuntimeContract):
    real = False

    @pytest.fixture
    def runtime(self) -> FakeRuntime:
        return FakeRuntime(node_id="n1")

    @pytest.fixture
    def make_spec(self) -> Callable[..., LabSpec]:
        return Maker(image="pytorch:test", node_id="n1")


def test_an_image_is_held_only_after_it_was_prepared():
    runtime, told = FakeRuntime(images=set()), []
    assert runtime.image_inspect("pytorch:test") is None
    runtime.image_prepare("pytorch:test", lambda percent, words: told.append(percent))
    assert runtime.image_inspect("pytorch:test") is not None
    assert told == sorted(told)
    assert told[-1] == 100


def test_a_lab_that_ends_by_itself_is_seen_with_its_code(make_spec):
    runtime, spec = FakeRuntime(node_id="n1"), make_spec()
    runtime.start(spec)
    runtime.exits(spec.name, code=137, oom=True)
    seen = named(runtime, spec.name)
    assert seen is not None
    assert (seen.running, seen.exit_code, seen.oom_killed, seen.jupyter) == (False, 137, True, None)


def test_the_slow_runtime_starts_only_when_it_is_let_go(make_spec):
    runtime, spec = SlowRuntime(node_id="n1"), make_spec()
    thread = threading.Thread(target=runtime.start, args=(spec,))
    thread.start()
    assert runtime.observe() == []
    runtime.go()
    thread.join(60)
    assert named(runtime, spec.name) is not None


def test_the_never_ready_runtime_runs_containers_whose_jupyter_is_silent(make_spec):
    runtime, spec = NeverReadyRuntime(node_id="n1"), make_spec()
    assert get(jupyter_of(runtime.start(spec)), f"{spec.base_url}api")[0] == 0


@pytest.mark.parametrize("transient", [True, False])
def test_the_refusing_runtime_refuses_in_words(make_spec, transient):
    with pytest.raises(RuntimeFault) as caught:
        RefusingRuntime(transient=transient).start(make_spec())
    assert caught.value.transient is transient
    assert caught.value.words
