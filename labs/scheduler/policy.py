"""The numbers of fairness. Whoever loads a snapshot fills them from the settings; the defaults are what the replay was tuned to."""

from bisect import bisect_left
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """How the queue is ordered, and how cards are taken back. Spans in seconds."""

    aged_after_s: float = 12 * 3600  # a lab that waits longer may go first, ...
    aged_at_once: int = 1  # ... but only so many at a time, ...
    aged_at_work: int = 1  # ... and none while so many of them are at work
    long_wait_s: float = 36 * 3600  # labs that wait longer go by age within their band, and leave no cards free for shorter ones
    bands_h: tuple[float, ...] = (1, 4, 12, 24, 72)  # shorter limits go first, by band
    keep_free: tuple[float, ...] = (0, 0, 0.07, 0.13, 0.16)  # labs of each band leave this part of the cards free for shorter ones (rounded down), ...
    keep_free_from: int = 10  # ... in a house of so many: of fewer, one card kept is half a lab that could run
    reservations: int = 2  # labs that later ones may not delay
    reclaim_after_s: float = 120  # how long a lab inside its quota waits before cards are taken back for it
    reclaim_min_run_s: float = 1800  # what a lab over quota may run before it is taken back
    reclaim_notice_s: float = 300
    reclaim_tries: int = 25  # labs for which nobody was found to take cards from, before the rest of the line waits for the next plan
    estimate_depth: int = 50  # labs whose start is found by running the queue ahead; later ones follow the pace of these
    estimate_early: float = 0.3  # quantile of what past labs used of their limit, for the run in which labs end early, ...
    estimate_late: float = 0.75  # ... and for the one in which they end late
    estimate_shrink: float = 0.4  # how far the ends of the range are moved outwards, ...
    estimate_stretch: float = 3.0  # ... for labs that will ask meanwhile and go first
    estimate_margin_s: float = 300

    def band(self, hours: float) -> int:
        """Which of the bands a limit lies in; the number of bands when it is above all."""
        return bisect_left(self.bands_h, hours)

    def left_free(self, hours: float, cards: int) -> int:
        """How many of so many cards a lab with that limit leaves free for shorter ones."""
        if cards < self.keep_free_from:
            return 0
        return int(self.keep_free[min(self.band(hours), len(self.keep_free) - 1)] * cards)
