"""GPU Lab in the replay: what is known is put into a `Snapshot`, and `labs.scheduler.plan` decides. It never sees a run's true length."""

from bisect import insort
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from benchmarks.replay.cluster import CAP, GUARANTEE, Account, Cluster, Entry
from benchmarks.replay.engine import Reclaim, Start
from benchmarks.replay.estimates import Scores
from benchmarks.replay.trace import HOUR
from labs.policy.rules import Asked, Held, Limits
from labs.scheduler.plan import plan
from labs.scheduler.policy import Policy as Numbers
from labs.scheduler.snapshot import Card, Group, ImageView, NodeView, Person, Running, Snapshot, Waiting

BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
PLENTY, IMAGE, MODEL = 1_000_000, 1, "card"
LIMITS = Limits(GUARANTEE, CAP, PLENTY, PLENTY, PLENTY, PLENTY, PLENTY, PLENTY, PLENTY, None, PLENTY, 1)
#: So much of what was used lately may be thrown away by taking cards back.
MAY_LOSE = 0.003
#: Of each person, so many past labs are remembered.
REMEMBERED = 200


def moment(seconds: float) -> datetime:
    """A time of the replay as the scheduler's clock says it."""
    return BEGIN + timedelta(seconds=seconds)


class GpuLab:
    """The scheduler of the house, with what people's past labs used of their limits."""

    name, tick = "gpulab", 125.0

    def __init__(self, numbers: Numbers | None = None, *, scores: Scores | None = None) -> None:
        self.numbers, self.scores = numbers or Numbers(), scores
        self._teams: dict[str, int] = {}
        self._runs: dict[int, list[float]] = defaultdict(list)
        self._all_runs: list[float] = []
        self._known: dict[str, Entry] = {}
        self._lost = Account()
        self._asked: dict[tuple[str, float], Waiting] = {}

    def decide(self, cluster: Cluster, now: float) -> Iterator[Start | Reclaim]:
        """One plan, taken as the house takes it."""
        self._learn(cluster, now)
        made = plan(self.snapshot(cluster, now), moment(now), estimates=self.scores is not None)
        if self.scores:
            self.scores.hear(made, cluster, BEGIN.timestamp(), now)
        for taken in made.reclaims:
            victim = cluster.running[taken.lab_id]
            self._lost.add(now, victim.job.gpus * (now + self.numbers.reclaim_notice_s - victim.started))
            yield Reclaim(victim, now + self.numbers.reclaim_notice_s, taken.taken_for)
        for placed in made.placements:
            cards = tuple(int(uuid.partition("/")[2]) for uuid in placed.gpu_uuids)
            yield Start(cluster.queue[placed.lab_id], int(placed.node_id), cards)

    def _learn(self, cluster: Cluster, now: float) -> None:
        """What labs that ended used of their limit; those whose cards were taken back say nothing."""
        for lab_id, entry in list(self._known.items()):
            if lab_id not in cluster.running:
                del self._known[lab_id]
                if lab_id not in cluster.queue:
                    share = min((now - entry.started) / entry.job.limit, 1.0)
                    insort(self._runs[entry.job.person], share)
                    insort(self._all_runs, share)
        self._known |= cluster.running

    def snapshot(self, cluster: Cluster, now: float) -> Snapshot:
        """What the scheduler is shown. A lab whose cards were taken back keeps what it had waited."""
        owners = {entry.job.person: entry.job.team for entry in [*cluster.queue.values(), *cluster.running.values()]}
        over = _over_quota(cluster)
        return Snapshot(
            nodes=tuple(_node(number, size, cluster) for number, size in enumerate(cluster.sizes)),
            waiting=tuple(self._waiting(entry) for entry in cluster.queue.values()),
            images={(str(node), IMAGE): ImageView(True, "") for node in range(len(cluster.sizes))},
            held={person: Held(gpus=cluster.account(person).held) for person in owners},
            limits=dict.fromkeys(owners, LIMITS),
            running=tuple(_running(entry, over) for entry in cluster.running.values()),
            people={person: self._person(person, team, cluster.account(person), now) for person, team in owners.items()},
            groups=self._groups(cluster, now),
            runs=tuple(self._all_runs[:: max(1, len(self._all_runs) // REMEMBERED)]),
            policy=self.numbers,
            may_lose_s=MAY_LOSE * sum(account.usage(now) for account in cluster.people.values()) - self._lost.usage(now),
        )

    def _person(self, person: int, team: str, account: Account, now: float) -> Person:
        runs = self._runs[person]
        known = tuple(runs[:: max(1, len(runs) // REMEMBERED)]) if len(runs) >= 5 else ()
        return Person(person, usage=account.usage(now) / HOUR, path=(self._team(team),), runs=known)

    def _team(self, name: str) -> int:
        return self._teams.setdefault(name, len(self._teams) + 1)

    def _groups(self, cluster: Cluster, now: float) -> dict[int, Group]:
        used: dict[str, float] = defaultdict(float)
        members: dict[str, int] = defaultdict(int)
        for account in cluster.people.values():
            used[account.team] += account.usage(now) / HOUR
            members[account.team] += 1
        return {self._team(team): Group(self._team(team), team, weight=members[team], usage=hours) for team, hours in used.items()}

    def _waiting(self, entry: Entry) -> Waiting:
        key = (entry.job.id, entry.since)
        if key not in self._asked:
            job = entry.job
            asked = Asked(job.gpus, 1, 1024, 512, int(job.limit / HOUR))
            self._asked[key] = Waiting(job.id, job.person, moment(entry.since - entry.waited), asked, "", IMAGE, "")
        return self._asked[key]


def _node(number: int, size: int, cluster: Cluster) -> NodeView:
    free = cluster.free[number]
    cards = tuple(Card(f"{number}/{card}", MODEL, card in free, memory_mib=81920) for card in range(size))
    return NodeView(str(number), f"node {number}", PLENTY, PLENTY, PLENTY * 1024, PLENTY * 1024, cards)


def _running(entry: Entry, over: frozenset[str]) -> Running:
    job = entry.job
    uuids = tuple(f"{entry.node}/{card}" for card in entry.cards)
    until = moment(entry.notice) if entry.notice else None
    begin, end = moment(entry.started), moment(entry.due)
    return Running(
        job.id,
        job.person,
        str(entry.node),
        uuids,
        1,
        1024,
        begin,
        end,
        job.gpus,
        job.id in over,
        notice_until=until,
        taken_for=entry.taken_for,
        waited_s=entry.waited,
    )


def _over_quota(cluster: Cluster) -> frozenset[str]:
    """The labs above their owners' guarantees: a lab is inside when it and the older ones inside fit."""
    inside: dict[int, int] = defaultdict(int)
    over = set()
    for lab_id, entry in sorted(cluster.running.items(), key=lambda item: (item[1].started, item[0])):
        if inside[entry.job.person] + entry.job.gpus <= GUARANTEE:
            inside[entry.job.person] += entry.job.gpus
        else:
            over.add(lab_id)
    return frozenset(over)
