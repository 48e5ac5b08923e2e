"""What a plan never does, whatever the house. 50,000 placements in each run, a million by `make test-long`."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from labs.policy.rules import Answer, Held, Share, judge
from labs.scheduler.plan import plan
from labs.scheduler.snapshot import Card, Hold, NodeView, Placement, Plan, Snapshot, Waiting
from labs.scheduler.standing import amount
from tests.labs.scheduler.houses import HERE, HOUR, NOW, house

SHORT, LONG = 50_000, 1_000_000
KINDS = ("placed", "over_quota", "waits", "reservations", "reclaims", "estimates")


def test_fifty_thousand_placements_break_no_promise() -> None:
    assert _sweep(SHORT, 0) >= SHORT


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_million_placements_break_no_promise() -> None:
    assert _sweep(LONG, 1_000_000) >= LONG


def _sweep(goal: int, seed: int) -> int:
    """Houses in turn until so many labs were placed; every kind of thing that a plan can say was seen on the way."""
    seen: Counter[str] = Counter()
    while seen["placed"] < goal:
        seed += 1
        snapshot = house(seed, labs=150)
        made = plan(snapshot, NOW, estimates=seed % 20 == 0)
        try:
            _check(snapshot, made)
            if seed % 20 == 0:
                _check_anew(snapshot, made)
        except AssertionError as error:
            raise AssertionError(f"house({seed}, labs=150): {error}") from error
        seen += _told(made)
        seen["houses"] += 1
        assert seen["houses"] < 100 or seen["placed"] > 5 * seen["houses"], "a plan that places hardly anything proves nothing"
    print(f"\n{dict(seen)}")
    assert min(seen[kind] for kind in KINDS) > goal / 1000, f"some kind was hardly seen: {dict(seen)}"
    return seen["placed"]


def _told(made: Plan) -> Counter[str]:
    """How much of each kind this plan holds."""
    over = sum(one.over_quota for one in made.placements)
    waits = len(made.waits)
    estimates = sum(wait.estimate is not None for wait in made.waits.values())
    return Counter(
        placed=len(made.placements), over_quota=over, waits=waits, reservations=len(made.reservations), reclaims=len(made.reclaims), estimates=estimates
    )


def _check(snapshot: Snapshot, made: Plan) -> None:
    labs = {lab.lab_id: lab for lab in snapshot.waiting}
    assert sorted([*(one.lab_id for one in made.placements), *made.waits]) == sorted(labs), "every lab is placed or waits, once"
    assert all(wait.reasons and all(wait.reasons) for wait in made.waits.values()), "every lab that waits has a reason"
    assert [wait.place for wait in made.waits.values()] == list(range(1, len(made.waits) + 1))
    _check_cards(snapshot, made, labs)
    _check_caps(snapshot, made, labs)
    _check_space(snapshot, made, labs)
    _check_windows(snapshot, made, labs)
    _check_reservations(snapshot, made, labs)
    _check_reclaims(snapshot, made, labs)


def _check_anew(snapshot: Snapshot, made: Plan) -> None:
    assert made == plan(snapshot, NOW), "the same snapshot gives the same plan"
    model = snapshot.nodes[0].cards[0].model
    more = NodeView("extra", "extra", 64, 64, 262_144, 262_144, tuple(Card(f"extra/{n}", model, free=True) for n in range(4)), runtime="docker")
    wider = replace(snapshot, nodes=(*snapshot.nodes, more), images={**snapshot.images, ("extra", 1): HERE, ("extra", 2): HERE})
    placed = {one.lab_id for one in plan(wider, NOW, estimates=False).placements}
    before = {one.lab_id for one in made.placements}
    assert not before or placed & before or placed - before, "more GPUs never make everybody worse off"
    assert placed - before or placed == before, "who no longer starts made room for somebody who now does"
    for wait in made.waits.values():
        assert wait.estimate is None or NOW <= wait.estimate.soonest <= wait.estimate.latest, "a range is one"


def _check_cards(snapshot: Snapshot, made: Plan, labs: dict[str, Waiting]) -> None:
    nodes = {node.id: node for node in snapshot.nodes}
    taken = [uuid for one in made.placements for uuid in one.gpu_uuids]
    assert len(taken) == len(set(taken)), "no card twice"
    for one in made.placements:
        lab, node = labs[one.lab_id], nodes[one.node_id]
        cards = [card for card in node.cards if card.uuid in one.gpu_uuids]
        assert len(cards) == len(one.gpu_uuids) == lab.asked.gpus and all(card.free and card.kept_for in ("", lab.lab_id) for card in cards)
        assert len({card.model for card in cards}) <= 1 and all(lab.gpu_model in ("", card.model) for card in cards)
        assert all(bool(card.slice) == bool(lab.wants_slice) for card in cards), "a slice for who asked for one"
        assert not node.closed and (node.id, lab.image_id) in snapshot.images


def _check_caps(snapshot: Snapshot, made: Plan, labs: dict[str, Waiting]) -> None:
    """The judge itself, asked again at each placement."""
    held, shares = dict(snapshot.held), dict(snapshot.shares)
    for one in made.placements:
        lab = labs[one.lab_id]
        owner, groups = lab.owner_id, snapshot.people[lab.owner_id].groups
        assert judge(lab.asked, held[owner], snapshot.limits[owner], tuple(shares[group] for group in groups)).answer == Answer.NOW, "no cap passed"
        guarantee = snapshot.limits[owner].gpus
        over = bool(lab.asked.gpus) and held[owner].gpus + amount(lab) > guarantee
        assert one.over_quota == over and (lab.may_borrow or not over), "over quota is said, and only for who may"
        held[owner] = _plus(held[owner], lab)
        for group in groups:
            shares[group] = Share(group, "", shares[group].caps, _plus(shares[group].held, lab))


def _plus(held: Held, lab: Waiting) -> Held:
    asked = lab.asked
    return replace(held, gpus=held.gpus + amount(lab), labs=held.labs + 1, cpus=held.cpus + asked.cpus, memory_mib=held.memory_mib + asked.memory_mib)


def _check_space(snapshot: Snapshot, made: Plan, labs: dict[str, Waiting]) -> None:
    cpus: Counter[str] = Counter()
    memory: Counter[str] = Counter()
    for one in made.placements:
        cpus[one.node_id] += labs[one.lab_id].asked.cpus
        memory[one.node_id] += labs[one.lab_id].asked.memory_mib
    assert all(cpus[node.id] <= node.free_cpus and memory[node.id] <= node.free_memory_mib for node in snapshot.nodes), "cores and memory once"


def _check_windows(snapshot: Snapshot, made: Plan, labs: dict[str, Waiting]) -> None:
    """No lab runs into maintenance; and no stranger's crosses a class that has not its cards beside it."""
    known = {owner for hold in snapshot.holds for owner in hold.people}
    for hold in snapshot.holds:
        across = [one for one in made.placements if hold.until > NOW and NOW + labs[one.lab_id].asked.hours * HOUR > hold.start]
        if hold.closes:
            assert all(one.node_id != hold.node_id for one in across), "maintenance"
        elif any(_in_scope(snapshot, hold, one) and labs[one.lab_id].owner_id not in known for one in across):
            assert _open_cards(snapshot, made, hold, labs) >= hold.gpus, f"{hold.id} has its cards"


def _in_scope(snapshot: Snapshot, hold: Hold, one: Placement) -> bool:
    cards = {card.uuid for node in snapshot.nodes for card in node.cards if _held_card(hold, node, card)}
    return bool(cards & set(one.gpu_uuids))


def _held_card(hold: Hold, node: NodeView, card: Card) -> bool:
    return _asked_card(hold, node, card) and not node.closed


def _asked_card(hold: Hold, node: NodeView, card: Card) -> bool:
    return hold.node_id in ("", node.id) and hold.model in ("", card.model) and not card.slice


def _open_cards(snapshot: Snapshot, made: Plan, hold: Hold, labs: dict[str, Waiting]) -> int:
    """Cards of the hold's scope that only its own people may be on when it begins, by limits; what these use on a closed node counts."""
    at = max(hold.start, NOW)
    own = {uuid for lab in snapshot.running if lab.owner_id in hold.people and (lab.notice_until or lab.ends_at) > at for uuid in lab.gpu_uuids}
    cards = [(node, card) for node in snapshot.nodes for card in node.cards]
    scope = {card.uuid for node, card in cards if _held_card(hold, node, card) or (card.uuid in own and _asked_card(hold, node, card))}
    for lab in snapshot.running:
        if (lab.notice_until or lab.ends_at) > at and lab.owner_id not in hold.people:
            scope -= set(lab.gpu_uuids)
    for one in made.placements:
        lab = labs[one.lab_id]
        if NOW + lab.asked.hours * HOUR > at and lab.owner_id not in hold.people:
            scope -= set(one.gpu_uuids)
    return len(scope)


def _check_reservations(snapshot: Snapshot, made: Plan, labs: dict[str, Waiting]) -> None:
    """Whoever was let in before does not stand in the way when a reservation begins."""
    for kept in made.reservations:
        node = next(node for node in snapshot.nodes if node.id == kept.node_id)
        uuids = {card.uuid for card in node.cards if card.model == kept.model and bool(card.slice) == bool(labs[kept.lab_id].wants_slice)}
        for lab in snapshot.running:
            if (lab.notice_until or max(lab.ends_at, NOW)) > kept.start and not any(
                one.lab_id == lab.lab_id and one.until <= kept.start for one in made.reclaims
            ):
                uuids -= set(lab.gpu_uuids)
        for one in made.placements:
            if NOW + labs[one.lab_id].asked.hours * HOUR > kept.start and one.lab_id != kept.lab_id:
                uuids -= set(one.gpu_uuids)
        if kept.lab_id in made.waits:
            assert len(uuids) >= kept.gpus, f"the reservation of {kept.lab_id} stands"


def _check_reclaims(snapshot: Snapshot, made: Plan, labs: dict[str, Waiting]) -> None:
    running = {lab.lab_id: lab for lab in snapshot.running}
    assert len({one.lab_id for one in made.reclaims}) == len(made.reclaims), "nobody is taken back twice"
    for one in made.reclaims:
        victim, asker = running[one.lab_id], labs[one.taken_for]
        assert victim.over_quota and not victim.notice_until and NOW - victim.started_at >= timedelta(minutes=30)
        assert asker.lab_id in made.waits and asker.since < NOW - timedelta(seconds=120) and asker.owner_id != victim.owner_id
        assert snapshot.held[asker.owner_id].gpus + amount(asker) <= snapshot.limits[asker.owner_id].gpus, "for a lab inside its quota"
        assert one.until == NOW + timedelta(minutes=5) and one.node_id == victim.node_id
