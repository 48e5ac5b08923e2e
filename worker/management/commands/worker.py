"""`manage.py worker`: this node's Celery worker with the loops' timer in it."""

import warnings
from typing import Any

from celery import current_app
from celery.exceptions import SecurityWarning
from django.conf import settings
from django.core.management.base import BaseCommand

from labs.bus.doorbell import node_queue
from labs.enrolment.services import credentials_keep
from labs.tidying.services import chores_forget
from worker import node, tasks
from worker.loops import (
    alone,
    announce,
    apps,
    arrivals,
    cards,
    chores,
    datasets,
    files,
    following,
    hooks,
    idle,
    images,
    jobs,
    making,
    post,
    reap,
    reconcile,
    rollup,
    sample,
    schedule,
    shelf,
    snapshots,
    starters,
    storage,
    timetable,
    trials,
    warn,
)
from worker.timer import Ticker
from worker.turns import in_turn, turns_give_back, turns_inherit
from worker.watchdog import EVERY_S


class Command(BaseCommand):
    """One process a node: threads, because the work is waiting for an engine."""

    help = "Run this node's worker: Celery for the doorbell, a timer for the loops."

    def add_arguments(self, parser: Any) -> None:
        """One option: how many tasks at once."""
        parser.add_argument("--concurrency", type=int, default=4)

    def handle(self, *args: Any, concurrency: int, **options: Any) -> None:
        """Report, begin to bring the image, tick, and consume until told to end."""
        node.record_await()
        node.report()
        node.image_bring()
        if not settings.JOINED:
            turns_inherit()
        tickers = tickers_of()
        for ticker in tickers:
            ticker.start()
        queues = [*([] if settings.JOINED else ["control"]), node_queue(settings.NODE_ID)]
        # Celery warns of root because of pickled messages; ours are JSON, and only root may change users and limits.
        warnings.simplefilter("ignore", SecurityWarning)
        worker = current_app.Worker(
            pool="threads",
            concurrency=concurrency,
            queues=queues,
            hostname=f"worker@{settings.NODE_ID}",
            without_mingle=True,
            without_gossip=True,
            loglevel="INFO",
            quiet=True,
        )
        try:
            worker.start()
        finally:
            for ticker in tickers:
                ticker.end()
            turns_give_back()


def tickers_of() -> list[Ticker]:
    """Every loop with its period in seconds. A joined node does its own work only: it could not see what the house's loops need."""
    return _tickers_of_node() if settings.JOINED else [*_tickers_of_house(), *_tickers_of_node()]


def _tickers_of_house() -> list[Ticker]:
    clock, period = node.hands().clock, settings.RECONCILE_S
    return [
        Ticker(name="schedule", period_s=period, tick=lambda: in_turn(name="schedule", work=lambda fence: schedule.tick(now=clock(), fence=fence))),
        Ticker(name="timetable", period_s=period, tick=lambda: in_turn(name="timetable", work=lambda fence: timetable.tick(now=clock()))),
        Ticker(name="reap", period_s=period, tick=lambda: reap.tick(now=clock())),
        Ticker(name="jobs", period_s=10, tick=lambda: in_turn(name="jobs", work=lambda _: jobs.tick(now=clock()))),
        Ticker(name="post", period_s=10, tick=lambda: post.tick(now=clock())),
        Ticker(name="hooks", period_s=5, tick=lambda: in_turn(name="hooks", work=lambda _: hooks.tick(now=clock()))),
        Ticker(name="rollup", period_s=60, tick=lambda: in_turn(name="rollup", work=lambda _: rollup.tick(now=clock()))),
        Ticker(name="trials", period_s=period, tick=lambda: in_turn(name="trials", work=lambda _: trials.house_tick(now=clock()))),
        Ticker(name="moving", period_s=period, tick=lambda: in_turn(name="moving", work=lambda _: following.tick(carrier=node.carrier(), now=clock()))),
        Ticker(name="made", period_s=period, tick=lambda: in_turn(name="made", work=lambda _: making.house_tick(now=clock()))),
        Ticker(name="shelf", period_s=300, tick=lambda: in_turn(name="shelf", work=lambda _: shelf.house_tick(now=clock()))),
        Ticker(name="tidying", period_s=30, tick=lambda: in_turn(name="tidying", work=lambda _: chores.house_tick(now=clock()))),
        Ticker(name="tidied", period_s=3600, tick=lambda: in_turn(name="tidied", work=lambda _: chores_forget())),
        Ticker(name="credentials", period_s=10, tick=lambda: in_turn(name="credentials", work=lambda _: credentials_keep())),
    ]


def _tickers_of_node() -> list[Ticker]:
    hands = node.hands()
    clock, period = hands.clock, settings.RECONCILE_S
    return [
        Ticker(name="reconcile", period_s=period, tick=lambda: reconcile.tick(hands=hands, now=clock())),
        Ticker(name="alone", period_s=period, tick=lambda: alone.tick(hands=hands, now=clock())),
        Ticker(name="warn", period_s=period, tick=lambda: warn.tick(hands=hands, now=clock())),
        Ticker(name="arrivals", period_s=10, tick=lambda: arrivals.tick(hands=hands, now=clock())),
        Ticker(name="apps", period_s=5, tick=lambda: apps.tick(hands=hands, now=clock())),
        Ticker(name="starters", period_s=5, tick=lambda: starters.tick(hands=hands)),
        Ticker(name="announce", period_s=10, tick=lambda: announce.tick(hands=hands, now=clock())),
        Ticker(name="sample", period_s=settings.DEFAULTS["telemetry"]["sample_s"], tick=lambda: sample.tick(hands=hands, now=clock())),
        Ticker(name="report", period_s=10, tick=node.report),
        Ticker(name="watchdog", period_s=EVERY_S, tick=node.watchdog().look),
        Ticker(name="idle", period_s=60, tick=lambda: idle.tick(hands=hands, now=clock())),
        Ticker(name="cards", period_s=60, tick=lambda: cards.inside_tick(hands=hands, now=clock())),
        Ticker(name="images", period_s=60, tick=lambda: images.survey(hands=hands)),
        Ticker(name="tried", period_s=period, tick=lambda: trials.tick(hands=hands, now=clock())),
        Ticker(name="datasets", period_s=60, tick=lambda: datasets.tick(hands=hands, now=clock())),
        Ticker(name="making", period_s=period, tick=lambda: making.tick(hands=hands)),
        Ticker(name="spare", period_s=600, tick=lambda: shelf.tick(hands=hands, now=clock())),
        Ticker(name="deleted", period_s=600, tick=lambda: shelf.deleted_tick(hands=hands, now=clock())),
        Ticker(name="files", period_s=5, tick=lambda: files.tick(hands=hands, now=clock())),
        Ticker(name="chores", period_s=5, tick=lambda: chores.tick(hands=hands, now=clock())),
        Ticker(name="snapshots", period_s=30, tick=lambda: snapshots.tick(keeper=node.keeper(), now=clock())),
        Ticker(name="storage", period_s=60, tick=lambda: storage.tick(hands=hands, now=clock(), limits=node.limits())),
        Ticker(name="networks", period_s=60, tick=lambda: reconcile.networks_tidy(hands=hands)),
    ]


__all__ = ["Command", "tasks"]
