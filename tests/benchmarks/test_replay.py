"""The replay is honest: its peers are what they say, its books balance, and a short one shows the order of things."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.replay.cluster import CAP, Cluster, Entry
from benchmarks.replay.engine import Policy, Replay
from benchmarks.replay.estimates import Scores
from benchmarks.replay.figures import figures, jain, p95, worst_wait_floor_h
from benchmarks.replay.house import GpuLab, moment
from benchmarks.replay.idle import idle_figures
from benchmarks.replay.peers import Easy, FifoSkip, FifoStrict, SlurmLike, limit_based_starts
from benchmarks.replay.trace import DAY, HOUR, WINDOW, Job, NoTrace, trace_read, window_of

ROOT = Path(__file__).resolve().parents[2]
PEERS = [FifoStrict, FifoSkip, Easy, SlurmLike, GpuLab]


def job(number: int, submit: float, run: float, gpus: int, *, limit: float = 4 * HOUR, person: int = 0) -> Job:
    return Job(f"{number:06d}", person or number + 1, "team", submit, run, gpus, limit, 0.5)


def starts(policy: Policy, jobs: list[Job], sizes: tuple[int, ...] = (8,)) -> list[float]:
    return [entry.job.submit + entry.waited for entry in Replay(policy, jobs, sizes).run()]


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred days of a made-up house, so that the tests need no trace from elsewhere."""
    path = tmp_path_factory.mktemp("trace") / "made-up.csv"
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(("timestamp", "duration", "num_gpus", "gpu_time", "cluster"))
        for number in range(9000):
            minute = number * 16 % (110 * 1440)
            gpus = (1, 1, 1, 1, 1, 2, 4, 8)[number * 7 % 8]
            seconds = (120, 900, 1800, 3000, 9000, 20000, 70000)[number * 11 % 7]
            stamp = f"2020-{1 + minute // 1440 // 28:02d}-{1 + minute // 1440 % 28:02d} {minute // 60 % 24:02d}:{minute % 60:02d}:00"
            out.writerow((stamp, seconds, gpus, seconds * gpus, "abc"[number % 3]))
    return path


def test_strict_order_lets_nobody_pass_and_skipping_does() -> None:
    jobs = [job(0, 0, HOUR, 5), job(1, 1, HOUR, 8), job(2, 2, 60, 1)]
    assert starts(FifoStrict(), jobs) == [0, HOUR, 2 * HOUR]
    assert starts(FifoSkip(), jobs) == [0, HOUR, 2]


def test_backfill_passes_only_where_it_delays_nobody() -> None:
    jobs = [job(0, 0, 4 * HOUR, 5), job(1, 1, HOUR, 8), job(2, 2, 60, 1, limit=HOUR), job(3, 3, 60, 1, limit=12 * HOUR)]
    assert starts(Easy(), jobs) == [0, 4 * HOUR, 2, 5 * HOUR]


def test_fair_share_puts_whoever_used_less_first() -> None:
    jobs = [job(0, 0, HOUR, 8, person=1), job(1, 1, HOUR, 8, person=1), job(2, 2, HOUR, 8, person=2)]
    assert starts(SlurmLike(), jobs) == [0, 2 * HOUR, HOUR]


@pytest.mark.parametrize("policy", PEERS)
def test_nobody_passes_the_cap_and_everybody_runs(policy: type) -> None:
    jobs = [job(number, number, HOUR, 8, person=1) for number in range(4)]
    replay = Replay(policy(), jobs, (8, 8, 8, 8))
    entries = replay.run()
    assert replay.cluster.violations == 0
    assert sorted(entry.job.submit + entry.waited for entry in entries)[CAP // 8] >= HOUR


def test_a_card_that_is_given_twice_is_counted() -> None:
    cluster = Cluster((8,))
    for number in range(2):
        entry = Entry(job(number, 0, HOUR, 1), 0.0)
        cluster.queue[entry.job.id] = entry
        cluster.start(entry, 0, (3,), 0.0)
    assert cluster.violations == 1


def test_usage_halves_in_seven_days() -> None:
    cluster = Cluster((8,))
    account = cluster.account(1)
    account.add(0.0, 100.0)
    assert account.usage(7 * DAY) == pytest.approx(50.0)


def test_a_lab_that_is_taken_back_loses_its_run_and_runs_again() -> None:
    greedy = [job(number, 0, 20 * HOUR, 4, limit=24 * HOUR, person=1) for number in range(2)]
    hours_of_use = [job(10 + number, 40 * DAY, 20 * HOUR, 8, limit=24 * HOUR, person=3) for number in range(1)]
    asks = job(5, 2 * HOUR, HOUR, 1, limit=HOUR, person=2)
    policy = GpuLab()
    policy._lost.add(0.0, -1e9)  # as if much had been used and nothing lost
    replay = Replay(policy, [*greedy, asks, *hours_of_use], (8,))
    entries = {entry.job.id: entry for entry in replay.run()}
    lost = [entry for entry in entries.values() if entry.lost]
    assert [entry.attempts for entry in lost] == [2]
    assert entries[asks.id].waited <= 600
    assert replay.cluster.violations == 0


def test_thinning_meets_the_load_and_no_job_is_in_two_windows(trace: Path) -> None:
    jobs = trace_read(trace, 1)
    windows = [window_of(jobs, number, 0.5, 32) for number in range(5)]
    assert all(0.5 <= window.offered < 0.53 for window in windows)
    assert len({job.id for window in windows for job in window.jobs}) == sum(len(window.jobs) for window in windows)
    assert all(window.begin <= job.submit < window.begin + WINDOW for window in windows for job in window.jobs)
    assert sum(job.gpus * job.run for job in windows[0].jobs) == pytest.approx(windows[0].offered * 32 * WINDOW)


def test_a_seed_gives_the_same_people_and_limits_again(trace: Path) -> None:
    assert trace_read(trace, 3) == trace_read(trace, 3) != trace_read(trace, 4)
    assert all(job.limit >= job.run for job in trace_read(trace, 3))


def test_a_trace_that_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(NoTrace, match="Give one with --trace"):
        trace_read(tmp_path / "none.csv", 1)
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    with pytest.raises(NoTrace, match="each row needs"):
        trace_read(tmp_path / "odd.csv", 1)


def test_figures_say_what_they_mean() -> None:
    entries = Replay(FifoStrict(), [job(0, 0, HOUR, 8), job(1, 0, HOUR, 8)], (8,)).run()
    found = figures(entries, 8, dict.fromkeys((entry.job.id for entry in entries), 0.0))
    assert (found["mean_wait_min"], found["max_wait_h"], found["worst_time"]) == (30, 1, 0.5)
    assert found["utilisation_pct"] == pytest.approx(100 * 2 * HOUR / WINDOW)
    assert found["worst"] == 0.5
    assert jain([1, 1, 1]) == 1 and jain([1, 0]) == 0.5 and p95(list(range(1, 101))) == 95


def test_nobody_can_schedule_below_the_floor_of_the_worst_wait() -> None:
    crowd = [job(number, number * 60.0, 2 * HOUR, 8, limit=12 * HOUR) for number in range(12)]
    floor = worst_wait_floor_h(crowd, 8)
    assert floor == pytest.approx((24 * HOUR - 11 * 60) / HOUR - 2, abs=0.01)
    worst = [max(entry.waited for entry in Replay(policy(), crowd, (8,)).run()) / HOUR for policy in (FifoStrict, FifoSkip, Easy, SlurmLike)]
    assert all(floor <= hours < floor + 0.5 for hours in worst)
    assert worst_wait_floor_h([job(0, 0, HOUR, 8), job(1, DAY, HOUR, 8)], 8) == 0


def test_a_person_is_served_by_lab_and_by_gpu_time_and_both_are_told() -> None:
    waited, at_once = Entry(job(0, 0, HOUR, 8), 0.0, waited=HOUR), Entry(job(1, 0, HOUR, 1), 0.0)
    for entry in (waited, at_once):
        entry.started = HOUR
    one = {entry.job.id: replace(entry, job=replace(entry.job, person=1)) for entry in (waited, at_once)}
    found = figures(list(one.values()), 8, dict.fromkeys(one, 0.0))
    assert found["worst"] == pytest.approx((0.5 + 1) / 2)
    assert found["worst_time"] == pytest.approx(9 / 17)


def test_the_plain_estimate_lets_every_lab_run_to_its_limit() -> None:
    cluster = Cluster((8,))
    first, second = (Entry(job(number, 0, HOUR, 8), 0.0) for number in range(2))
    cluster.queue = {first.job.id: first, second.job.id: second}
    cluster.start(first, 0, tuple(range(8)), 0.0)
    assert limit_based_starts([second], cluster, 60.0) == {second.job.id: 4 * HOUR}


def test_what_a_lab_waited_before_its_cards_were_taken_back_counts_on() -> None:
    cluster = Cluster((8,))
    entry = Entry(job(0, 0, DAY, 8), 0.0)
    cluster.queue = {entry.job.id: entry}
    cluster.start(entry, 0, tuple(range(8)), 3 * HOUR)
    cluster.requeue(entry, 4 * HOUR)
    [waiting] = GpuLab().snapshot(cluster, 4 * HOUR).waiting
    assert waiting.since == moment(HOUR)


def test_estimates_are_scored_by_what_came_of_them(trace: Path) -> None:
    jobs = list(window_of(trace_read(trace, 1), 0, 1.5, 8).jobs)[:150]
    scores = Scores()
    Replay(GpuLab(scores=scores), jobs, (8,)).run()
    found = scores.figures()
    assert found["labs"] > 10
    assert 0 <= found["held_pct"] <= 100


def test_the_idle_rule_gives_back_most_and_stops_hardly_anybody_at_work(trace: Path) -> None:
    found = idle_figures(trace_read(trace, 1)[:1200], 1)
    assert found["back_pct"] >= 65
    assert found["wrong_pct"] <= 1


def test_a_short_replay_breaks_no_rule_and_beats_first_come(trace: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    command = [sys.executable, "-m", "benchmarks.scheduling", "--trace", str(trace), "--nodes", "2x8", "--load", "0.6", "--windows", "0", "--json", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    rows = {row["policy"]: row for row in json.loads(out.read_text())["rows"]}
    assert list(rows) == ["fifo_strict", "fifo_skip", "easy", "slurm_like", "gpulab"]
    assert all(row["violations"] == 0 for row in rows.values())
    assert rows["gpulab"]["mean_wait_min"] <= rows["fifo_strict"]["mean_wait_min"]
    assert all(row["max_wait_h"] >= row["max_wait_floor_h"] for row in rows.values())


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_full_replay_writes_its_table_and_plots() -> None:
    command = [sys.executable, "-m", "benchmarks.scheduling", "--estimates", "--json", "docs/scheduling.json", "--docs", "docs"]
    subprocess.run(command, cwd=ROOT, check=True)
    found = json.loads((ROOT / "docs/scheduling.json").read_text())
    assert all(row["violations"] == 0 for row in found["rows"])
    assert found["estimates"]["held_pct"] >= 80
    assert found["estimates"]["error_ratio"] <= 0.5
    assert found["idle"]["back_pct"] >= 65 and found["idle"]["wrong_pct"] <= 1
