"""The machines of the replay: who holds which card, and a check that never looks away."""

from dataclasses import dataclass, field

from benchmarks.replay.trace import HOUR, Job

HALF_LIFE = 7 * 24 * HOUR
CAP, GUARANTEE = 16, 4
_LAMBDA = 0.6931471805599453 / HALF_LIFE


@dataclass(slots=True)
class Entry:
    """A job from its submission to its end. `since` is when it was queued last; times in seconds."""

    job: Job
    since: float
    node: int = -1
    cards: tuple[int, ...] = ()
    started: float = -1.0
    notice: float = 0.0  # when the cards are taken back; 0 while nobody asks
    taken_for: str = ""
    waited: float = 0.0
    lost: float = 0.0  # GPU-seconds thrown away
    attempts: int = 0

    @property
    def due(self) -> float:
        """When its limit ends."""
        return self.started + self.job.limit


@dataclass(slots=True)
class Account:
    """What one person holds, and the GPU-seconds used, halved every seven days."""

    team: str = ""
    held: int = 0
    used: float = 0.0
    at: float = 0.0

    def usage(self, now: float) -> float:
        """Decayed usage at that moment, the running labs' included."""
        fade = 2.0 ** (-(now - self.at) / HALF_LIFE)
        return self.used * fade + self.held * (1 - fade) / _LAMBDA

    def add(self, now: float, amount: float) -> None:
        """Count so many GPU-seconds at once."""
        self.used, self.at = self.usage(now) + amount, now

    def change(self, now: float, gpus: int) -> None:
        """Hold more or fewer cards from now on."""
        self.used, self.at = self.usage(now), now
        self.held += gpus


@dataclass(slots=True)
class Cluster:
    """Nodes with free cards, what runs and what waits. Every start is checked; a broken rule is counted, not raised."""

    sizes: tuple[int, ...]
    free: list[set[int]] = field(default_factory=list)
    running: dict[str, Entry] = field(default_factory=dict)
    queue: dict[str, Entry] = field(default_factory=dict)
    people: dict[int, Account] = field(default_factory=dict)
    violations: int = 0

    def __post_init__(self) -> None:
        self.free = [set(range(size)) for size in self.sizes]

    def account(self, person: int, team: str = "") -> Account:
        """The person's account, opened when first asked for."""
        return self.people.setdefault(person, Account(team))

    def start(self, entry: Entry, node: int, cards: tuple[int, ...], now: float) -> None:
        """Give these cards to that job."""
        account = self.account(entry.job.person, entry.job.team)
        good = len(set(cards)) == entry.job.gpus and self.free[node].issuperset(cards) and entry.job.id in self.queue
        self.violations += (not good) + (account.held + entry.job.gpus > CAP)
        self.free[node].difference_update(cards)
        del self.queue[entry.job.id]
        self.running[entry.job.id] = entry
        entry.node, entry.cards, entry.started, entry.notice = node, cards, now, 0.0
        entry.waited += now - entry.since
        entry.attempts += 1
        account.change(now, entry.job.gpus)

    def stop(self, entry: Entry, now: float) -> None:
        """Take the cards back."""
        del self.running[entry.job.id]
        self.free[entry.node].update(entry.cards)
        self.account(entry.job.person).change(now, -entry.job.gpus)

    def requeue(self, entry: Entry, now: float) -> None:
        """A job whose cards were taken back: its run is lost and it waits again."""
        self.stop(entry, now)
        entry.lost += entry.job.gpus * (now - entry.started)
        entry.since, entry.notice, entry.started = now, 0.0, -1.0
        self.queue[entry.job.id] = entry
