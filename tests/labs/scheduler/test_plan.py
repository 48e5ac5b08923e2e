"""The plan: who gets what, in order, and why everybody else waits. Pure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from labs.policy.rules import Asked, Held, Limits
from labs.scheduler.fit import impossible
from labs.scheduler.plan import plan
from labs.scheduler.snapshot import Card, ImageView, NodeView, Plan, Snapshot, Waiting

T0 = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
LIMITS = Limits(gpus=4, gpus_max=4, labs=4, pending=5, cpus=32, memory_gib=128, shm_gib=32, pids=8192, hours_max=72, gpu_hours_week=300, disk_gib=500, weight=2)
HELD_IMAGE = ImageView(present=True, words="")


def _node(name: str = "n1", cards: int = 2, model: str = "H200", free: int | None = None, **fields: Any) -> NodeView:
    free = cards if free is None else free
    views = tuple(Card(uuid=f"{name}-{model}-{n}", model=model, free=n < free) for n in range(cards))
    sizes: dict[str, Any] = {"cpus": 64, "free_cpus": 64, "memory_mib": 262144, "free_memory_mib": 262144, "runtime": "docker"} | fields
    return NodeView(id=name, name=name, cards=views, **sizes)


def _lab(name: str, gpus: int = 1, owner: int = 1, after: int = 0, memory_gib: int = 8, model: str = "", **fields: Any) -> Waiting:
    asked = Asked(gpus=gpus, cpus=2, memory_mib=memory_gib * 1024, shm_mib=1024, hours=4)
    return Waiting(lab_id=name, owner_id=owner, since=T0 + timedelta(seconds=after), asked=asked, gpu_model=model, image_id=1, image_runtime="docker", **fields)


def _plan(nodes: list[NodeView], *labs: Waiting, held: dict[int, Held] | None = None, limits: Limits = LIMITS, images: Any = None) -> Plan:
    shown = {(node.id, 1): HELD_IMAGE for node in nodes} if images is None else images
    return plan(Snapshot(tuple(nodes), labs, shown, held or {}, {lab.owner_id: limits for lab in labs}), T0)


def _placed(made: Plan) -> dict[str, str]:
    return {one.lab_id: one.node_id for one in made.placements}


def test_who_asked_first_is_placed_first() -> None:
    made = _plan([_node(cards=1)], _lab("late", after=5), _lab("early", owner=2))
    assert _placed(made) == {"early": "n1"} and made.waits["late"].place == 1


def test_a_lab_that_waits_for_its_own_quota_holds_nobody_up() -> None:
    made = _plan([_node()], _lab("mine", gpus=1), _lab("yours", owner=2, after=1), held={1: Held(gpus=4)})
    assert _placed(made) == {"yours": "n1"} and "You hold 4 of your 4 GPUs" in made.waits["mine"].reasons[0]


def test_small_wishes_do_not_starve_a_large_one() -> None:
    made = _plan([_node(cards=2, free=1)], _lab("large", gpus=2), _lab("small", owner=2, after=1))
    assert _placed(made) == {}
    assert made.waits["large"].reasons == ("Needs 2 GPUs on one node; 1 free now.",)
    assert made.waits["small"].reasons == ("The free GPUs are kept for a lab that goes first.",)


def test_a_node_that_has_not_said_yet_how_large_it_is_makes_nothing_impossible() -> None:
    small, fresh = _node("small", cpus=1), _node("fresh", runtime="", cpus=0, free_cpus=0, memory_mib=0, free_memory_mib=0)
    assert impossible(_lab("one"), [small]) == "The largest node has 1 CPU cores."
    assert impossible(_lab("one"), [small, fresh]) == impossible(_lab("one"), [fresh]) == ""


def test_cards_are_not_kept_for_a_lab_that_they_could_never_serve() -> None:
    nodes = [_node("n1", cards=2, free=0), _node("n2", cards=2, model="A100")]
    made = _plan(nodes, _lab("picky", model="H200"), _lab("other", owner=2, model="A100", after=1))
    assert _placed(made) == {"other": "n2"} and "0 free now" in made.waits["picky"].reasons[0]


def test_cards_that_are_kept_where_a_lab_may_not_run_are_not_said_to_be_free() -> None:
    kept = _node("n1", cards=2)
    kept = replace(kept, cards=tuple(replace(card, kept_for="a") for card in kept.cards))
    made = _plan([kept, _node("n2", cards=2, free=1)], _lab("a", gpus=2, lacks=(("n1", "Not on n1."),)))
    assert made.waits["a"].reasons == ("Needs 2 GPUs on one node; 1 free now.", "Not on n1.")


def test_a_lab_that_needs_data_runs_where_it_is_and_holds_up_nobody_who_needs_none() -> None:
    nodes, lacks = [_node("n1", cards=2), _node("n2", cards=1)], (("n1", "Not on n1."),)
    made = _plan(nodes, _lab("a", lacks=lacks), _lab("b", owner=2, lacks=lacks, after=1), _lab("c", owner=3, after=2))
    assert _placed(made) == {"a": "n2", "c": "n1"}
    assert "Not on n1." in made.waits["b"].reasons
    nowhere = _plan(nodes, _lab("a", lacks=(*lacks, ("n2", "Not on n2."))))
    assert (nowhere.waits["a"].reasons, nowhere.waits["a"].estimate) == (("Not on n1.", "Not on n2."), None)


def test_a_large_wish_keeps_only_nodes_that_are_large_enough() -> None:
    nodes = [_node("big", cards=4, free=1), _node("small", cards=1)]
    made = _plan(nodes, _lab("large", gpus=4), _lab("one", owner=2, after=1))
    assert _placed(made) == {"one": "small"}


def test_memory_is_kept_only_where_it_would_suffice() -> None:
    nodes = [_node("big", free_memory_mib=8192), _node("small", memory_mib=16384, free_memory_mib=16384)]
    made = _plan(nodes, _lab("large", gpus=0, memory_gib=64), _lab("one", gpus=0, owner=2, after=1))
    assert _placed(made) == {"one": "small"}


def test_a_lab_that_waits_for_memory_is_told_how_much_is_free_and_the_next_one_that_it_is_kept() -> None:
    made = _plan([_node(free_memory_mib=32 * 1024)], _lab("large", gpus=0, memory_gib=64), _lab("next", gpus=0, owner=2, after=1))
    assert made.waits["large"].reasons == ("Needs 2 CPU cores and 64 GiB of memory on one node; at most 64 cores and 32 GiB are free.",)
    assert made.waits["next"].reasons == ("The free memory is kept for a lab that goes first.",)


def test_a_lab_without_gpus_starts_while_cards_are_kept() -> None:
    made = _plan([_node(cards=2, free=1)], _lab("large", gpus=2), _lab("none", gpus=0, owner=2, after=1))
    assert _placed(made) == {"none": "n1"}


def test_a_lab_goes_where_it_fits_tightest() -> None:
    made = _plan([_node("wide", cards=4), _node("tight", cards=1)], _lab("one"))
    assert _placed(made) == {"one": "tight"}


def test_a_labs_cards_are_of_one_model_and_of_the_one_it_asked_for() -> None:
    mixed = replace(_node("n1"), cards=(*_node("n1", 1, "A100").cards, *_node("n1", 2, "H200").cards))
    made = _plan([mixed], _lab("two", gpus=2))
    assert made.placements[0].gpu_uuids == ("n1-H200-0", "n1-H200-1")
    assert _plan([mixed], _lab("one", model="A100")).placements[0].gpu_uuids == ("n1-A100-0",)


def test_a_lab_waits_for_its_image_and_holds_nothing_meanwhile() -> None:
    pulling = {("n1", 1): ImageView(present=False, words="The image is being prepared: 62%")}
    waits = _lab("waits")
    made = _plan([_node(cards=1)], waits, images=pulling)
    assert made.waits["waits"].reasons == ("The image is being prepared: 62%",) and made.fetch == (("n1", 1),)
    other = replace(_lab("other", owner=2, after=1), image_id=2)
    made = _plan([_node(cards=1)], waits, other, images=pulling | {("n1", 2): HELD_IMAGE})
    assert _placed(made) == {"other": "n1"}


def test_a_closed_node_gets_nothing_and_the_reason_names_it() -> None:
    made = _plan([_node(closed="Cordoned: takes no new lab")], _lab("one"))
    assert made.waits["one"].reasons == ("Node n1: Cordoned: takes no new lab.",) and made.fetch == ()


def test_the_second_of_two_labs_at_once_is_judged_with_the_first_one_counted() -> None:
    made = _plan([_node(cards=4)], _lab("a", gpus=3), _lab("b", gpus=2, after=1))
    assert _placed(made) == {"a": "n1"} and "You hold 3 of your 4 GPUs" in made.waits["b"].reasons[0]


def test_memory_and_cores_are_given_away_once() -> None:
    labs = [_lab("a", gpus=0, memory_gib=10), _lab("b", gpus=0, owner=2, memory_gib=10, after=1)]
    assert _placed(_plan([_node(free_memory_mib=16 * 1024)], *labs)) == {"a": "n1"}
    assert _placed(_plan([_node(free_cpus=3)], *labs)) == {"a": "n1"}


def test_a_running_lab_gets_its_cards_on_its_own_node_only() -> None:
    nodes = [_node("n1", cards=1, free=0), _node("n2", cards=1)]
    wants = _lab("runs", on_node="n1", placed=True)
    held = {1: Held(labs=1, cpus=2, memory_mib=8192)}
    assert _placed(_plan(nodes, wants, held=held)) == {}
    assert _placed(_plan([_node("n1", cards=1), nodes[1]], wants, held=held)) == {"runs": "n1"}


def test_a_running_lab_that_wants_more_cards_is_not_judged_against_the_ones_it_gives_back() -> None:
    wants = _lab("runs", gpus=4, on_node="n1", placed=True, gpus_held=2)
    made = _plan([_node(cards=6, free=4)], wants, held={1: Held(gpus=2, labs=1, cpus=2, memory_mib=8192)})
    assert _placed(made) == {"runs": "n1"}


def test_a_running_lab_needs_no_second_helping_of_memory() -> None:
    full = _node(cards=1, free_cpus=0, free_memory_mib=0)
    made = _plan([full], _lab("runs", on_node="n1", placed=True), held={1: Held(labs=1, cpus=2, memory_mib=8192)})
    assert _placed(made) == {"runs": "n1"}


def test_what_no_node_could_ever_serve_is_impossible_in_words() -> None:
    mixed = replace(_node("n1"), cards=(*_node("n1", 2, "A100").cards, *_node("n1", 2, "H200").cards))
    assert "the most that one node has of one model is 2" in impossible(_lab("x", gpus=3), (mixed,))
    assert "of model V100" in impossible(_lab("x", model="V100"), (mixed,))
    assert "GiB of memory" in impossible(_lab("x", memory_gib=999), (mixed,))
    split = (_node("cards", memory_mib=4096), _node("memory", cards=0))
    assert impossible(_lab("x", gpus=1, memory_gib=64), split) == "No single node has that many GPUs, CPU cores and that much memory together."
    assert impossible(_lab("x", on_node="n2", placed=True), (_node("n1"), _node("n2", cards=0)))
    assert impossible(_lab("x"), (mixed,)) == "" and impossible(_lab("x", gpus=99), ()) == ""


# ------------------------------------------------------------------ whatever the snapshot

MODELS = ["A100", "H200"]


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Small houses of every kind, in most of which most labs can start."""
    nodes = [draw(_nodes(f"n{n}")) for n in range(draw(st.integers(0, 3)))]
    labs = [draw(_waiting(f"lab{n}", bool(nodes))) for n in range(draw(st.integers(1, 8)))]
    image = st.sampled_from([HELD_IMAGE, HELD_IMAGE, HELD_IMAGE, ImageView(False, "The image is being prepared: 10%"), None])
    images = {(node.id, number): draw(image) for node in nodes for number in (1, 2)}
    amounts = st.builds(Held, gpus=st.integers(0, 2), labs=st.integers(1, 3), cpus=st.integers(8, 12), memory_mib=st.just(16384))
    caps = st.builds(
        lambda gpus, labs: replace(LIMITS, gpus=min(gpus, 2), gpus_max=gpus, labs=labs, cpus=24, memory_gib=64), st.integers(1, 8), st.integers(2, 8)
    )
    people = (1, 2, 3)
    held, limits = {one: draw(amounts) for one in people}, {one: draw(caps) for one in people}
    return Snapshot(tuple(nodes), tuple(labs), {at: view for at, view in images.items() if view}, held, limits)


@st.composite
def _nodes(draw: st.DrawFn, name: str) -> NodeView:
    mostly = st.sampled_from([True, True, True, False])
    cards = tuple(Card(f"GPU-{name}-{n}", draw(st.sampled_from(MODELS)), draw(mostly)) for n in range(draw(st.integers(1, 5))))
    memory, cpus = draw(st.integers(8, 64)) * 1024, draw(st.integers(4, 16))
    free_memory, free_cpus = draw(st.integers(memory // 2, memory)), draw(st.integers(cpus // 2, cpus * 4))
    return NodeView(name, name, cpus, free_cpus, memory, free_memory, cards, "" if draw(mostly) else "Cordoned", "docker" if draw(mostly) else "")


@st.composite
def _waiting(draw: st.DrawFn, name: str, may_run: bool) -> Waiting:
    placed = may_run and draw(st.integers(0, 5)) == 5
    asked = Asked(draw(st.sampled_from([0, 1, 1, 1, 2, 2, 4])), draw(st.integers(1, 4)), draw(st.sampled_from([1, 2, 4, 8, 32])) * 1024, 0, 4)
    return Waiting(
        lab_id=name,
        owner_id=draw(st.integers(1, 3)),
        since=T0 + timedelta(seconds=draw(st.integers(0, 3))),
        asked=asked,
        gpu_model=draw(st.sampled_from(["", "", *MODELS])),
        image_id=draw(st.integers(1, 2)),
        image_runtime=draw(st.sampled_from(["docker", "docker", "docker", "process"])),
        on_node="n0" if placed else "",
        placed=placed,
    )


@settings(max_examples=200, deadline=None)
@given(snapshots())
def test_whatever_the_snapshot_no_promise_is_broken(snapshot: Snapshot) -> None:
    made = plan(snapshot, T0)
    assert made == plan(snapshot, T0), "the same snapshot gives the same plan"
    labs = {lab.lab_id: lab for lab in snapshot.waiting}
    nodes = {node.id: node for node in snapshot.nodes}

    placed = [one.lab_id for one in made.placements]
    assert sorted([*placed, *made.waits]) == sorted(labs), "every lab is placed or waits, once"
    for wait in made.waits.values():
        assert wait.reasons and all(wait.reasons), "every lab that waits has a reason"
    assert [wait.place for wait in made.waits.values()] == list(range(1, len(made.waits) + 1))

    taken = [uuid for one in made.placements for uuid in one.gpu_uuids]
    assert len(taken) == len(set(taken)), "no card twice"
    for one in made.placements:
        lab, node = labs[one.lab_id], nodes[one.node_id]
        cards = {card.uuid: card for card in node.cards}
        assert len(one.gpu_uuids) == lab.asked.gpus and all(cards[uuid].free for uuid in one.gpu_uuids)
        assert len({cards[uuid].model for uuid in one.gpu_uuids}) <= 1
        assert all(not lab.gpu_model or cards[uuid].model == lab.gpu_model for uuid in one.gpu_uuids)
        assert not node.closed and node.runtime in ("", lab.image_runtime) and snapshot.images[(node.id, lab.image_id)].present
        assert not lab.on_node or lab.on_node == node.id
    event(f"{len(made.placements)} placed, {len(taken)} cards")

    for node in snapshot.nodes:
        here = [labs[one.lab_id].asked for one in made.placements if one.node_id == node.id and not labs[one.lab_id].placed]
        assert not here or sum(asked.memory_mib for asked in here) <= node.free_memory_mib
        assert not here or sum(asked.cpus for asked in here) <= node.free_cpus

    for owner, limits in snapshot.limits.items():
        mine = [labs[lab_id] for lab_id in placed if labs[lab_id].owner_id == owner]
        gpus = sum(lab.asked.gpus for lab in mine)
        fresh = sum(not lab.placed for lab in mine)
        assert not gpus or snapshot.held[owner].gpus + gpus <= limits.gpus_max, "no cap passed"
        assert not fresh or snapshot.held[owner].labs + fresh <= limits.labs
