"""Checks through a running house of this host, by its API alone: what a student's click comes to on a real card."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

import httpx

from labs.idleness.rules import Rules
from worker.gpucheck.busy import EVERY_S, PROGRAM
from worker.gpucheck.reading import whole_cards
from worker.gpucheck.report import Failed, Found, LeftOut
from worker.probes.base import NodeReading

#: An environment is brought before the first lab of it; a lab is ended the hard way after its grace.
BEGINS_WITHIN_S, ENDS_WITHIN_S, SEEN_WITHIN_S = 600.0, 180.0, 60.0
HOLD_S = 600
SMALL = {"cpus": 1, "memory_gib": 4, "shm_gib": 1, "hours": 1}
OVER = frozenset({"stopped", "failed"})
Json = Mapping[str, Any]
T = TypeVar("T")


class House:
    """A person's way into it by a token of scope `launch`. What it launches is stopped when the context ends."""

    def __init__(self, url: str, token: str, image: int | None) -> None:
        if not token:
            raise LeftOut("A token of scope launch is needed in GPULAB_TOKEN: make one on the account page, or by `gpulab login`.")
        self._http = httpx.Client(base_url=f"{url.rstrip('/')}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30)
        self._image = image
        self._launched: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for lab_id in self._launched:
            if self.lab(lab_id)["state"] not in OVER:
                self.stop(lab_id)
        self._http.close()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """One answer; a refusal is a failure in the house's own words."""
        try:
            answer = self._http.request(method, path, json=body)
            said = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Failed(f"The house does not answer {path}: {error}") from error
        if not answer.is_success:
            raise Failed(f"The house refuses {path}: {said.get('detail', answer.status_code)}")
        return said

    def cards(self) -> list[Json]:
        """All that the house has, in one page: a host has no more."""
        return list(self.ask("GET", "/gpus?limit=100")["items"])

    def lab(self, lab_id: str) -> Json:
        """As it is now."""
        return dict(self.ask("GET", f"/labs/{lab_id}"))

    def launch(self, gpus: int, *command: str) -> str:
        """A lab, or a job of that command; its id."""
        wish = {"image": self._chosen(), "gpus": gpus, "command": list(command), "requeue": False, **SMALL}
        lab_id = str(self.ask("POST", "/labs", wish)["id"])
        self._launched.append(lab_id)
        return lab_id

    def _chosen(self) -> int:
        if self._image is None:
            images = self.ask("GET", "/images")["items"]
            if not images:
                raise LeftOut("The house offers this person no image.")
            self._image = int(max(images, key=lambda one: bool(one["ready"]))["id"])
        return self._image

    def stop(self, lab_id: str) -> None:
        """As by its button."""
        self.ask("POST", f"/labs/{lab_id}/stop")

    def until(self, lab_id: str, states: frozenset[str], within_s: float) -> tuple[Json, float]:
        """The lab once it is in one of these states, and the seconds until then. One that ends otherwise is a failure with its reason."""
        began = time.monotonic()
        while True:
            lab, took = self.lab(lab_id), round(time.monotonic() - began, 2)
            if lab["state"] in states:
                return lab, took
            if lab["state"] in OVER or took > within_s:
                raise Failed(f"Lab {lab['name']} is {lab['state']} after {took:g} s: {lab['reason'] or lab['stage']}")
            time.sleep(EVERY_S)

    def said(self, lab_id: str) -> Json:
        """The line of JSON in its log; hold.py's first."""

        def line() -> Json | None:
            text = str(self.ask("GET", f"/labs/{lab_id}/log")["text"])
            return next((json.loads(one) for one in text.splitlines() if one.startswith("{")), None)

        return waited(line, SEEN_WITHIN_S, "what the program in the lab says")

    def free(self, uuids: Sequence[str]) -> float:
        """Seconds until these cards are nobody's."""
        began = time.monotonic()
        waited(lambda: all(one["state"] == "free" for one in self.cards() if one["uuid"] in uuids), ENDS_WITHIN_S, "the cards to be free")
        return round(time.monotonic() - began, 2)


def waited(look: Callable[[], T | None], within_s: float, what: str) -> T:
    """What `look` finds at last."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise Failed(f"Waited {within_s:.0f} s in vain for {what}.")
        time.sleep(EVERY_S)
    return found


def program(*arguments: object) -> tuple[str, ...]:
    """hold.py as a job's command, which is handed over whole: the lab needs no file of ours."""
    return ("python3", "-I", "-c", PROGRAM.read_text(), *map(str, arguments))


def same_cards(house: House, reading: NodeReading) -> Found:
    """The house has this host's cards, as real ones, free and well."""
    known = {one["uuid"]: one for one in house.cards()}
    for card in whole_cards(reading):
        found = known.get(card.uuid)
        if found is None:
            raise Failed(f"The house does not know GPU {card.index} ({card.uuid}).")
        if found["simulated"] or found["health"] != "ok":
            raise Failed(f"GPU {card.index} is {'SIMULATED' if found['simulated'] else found['health']} for the house.")
    taken = [one["uuid"] for one in known.values() if one["state"] != "free"]
    if taken:
        raise LeftOut(f"{len(taken)} of {len(known)} cards are in use: try it in a quiet hour.")
    return Found(f"{len(known)} cards, real, well and free.")


def click_to_jupyter(house: House) -> Found:
    """A lab with one card: how long until its Jupyter answers, and until its card is free again after the stop."""
    lab_id = house.launch(1)
    lab, took = house.until(lab_id, frozenset({"running"}), BEGINS_WITHIN_S)
    held = [one["uuid"] for one in lab["gpus"]]
    house.stop(lab_id)
    _, ended = house.until(lab_id, OVER, ENDS_WITHIN_S)
    freed = house.free(held)
    figures = {"click_to_jupyter_s": took, "stop_s": ended, "free_s": freed}
    return Found(f"{took:g} s from the click to a Jupyter that answers, on {held[0]}; stopped in {ended:g} s, its card free {freed:g} s later.", figures)


def without(house: House) -> Found:
    """A lab without a card sees none."""
    lab_id = house.launch(0, *program("look"))
    house.until(lab_id, OVER, BEGINS_WITHIN_S)
    seen = house.said(lab_id)
    if seen.get("cards"):
        raise Failed(f"A lab without a card sees {' and '.join(seen['cards'])}.")
    return Found(f"a lab without a card sees none ({seen.get('error', 'CUDA lists no device')}).")


def in_turn(house: House, mib: int) -> Found:
    """One lab computes on its card and no other; a second one that wants all of them waits, says why, and gets them after the first."""
    first = house.launch(1, *program("hold", mib, HOLD_S))
    lab, _ = house.until(first, frozenset({"running"}), BEGINS_WITHIN_S)
    mine = _sees_its_own(house, lab)
    load = waited(lambda: _load(house, mine[0], mib), SEEN_WITHIN_S, "the load of a lab that computes without a pause")
    second = house.launch(len(house.cards()), *program("look"))
    reason = waited(lambda: house.lab(second)["reason"], SEEN_WITHIN_S, "the reason for which the second lab waits")
    house.stop(first)
    _, ended = house.until(first, OVER, ENDS_WITHIN_S)
    _, handed = house.until(second, OVER | {"starting", "running"}, ENDS_WITHIN_S)
    lab, _ = house.until(second, OVER, BEGINS_WITHIN_S)
    if lab["exit_code"] != 0 or len(house.said(second).get("cards", ())) != lab["limits"]["gpus"]:
        raise Failed(f"The second lab does not see its {lab['limits']['gpus']} cards: {house.said(second)}")
    return Found(
        f"a lab computes on its own card alone (load {load:g}%); the second one waited ({reason}); the first was ended in {ended:g} s though it "
        f"ignores SIGTERM, and {handed:g} s later the second one began on clean cards.",
        {"gpu_pct": load, "stop_s": ended, "handed_over_s": handed},
    )


def _sees_its_own(house: House, lab: Json) -> list[str]:
    held, seen = [one["uuid"] for one in lab["gpus"]], house.said(lab["id"])
    if seen.get("cards") != held:
        raise Failed(f"A lab that holds {' and '.join(held)} sees {seen}.")
    return held


def _load(house: House, uuid: str, mib: int) -> float | None:
    """The card's load as the house shows it, once it is not idle and the lab's memory is counted."""
    reading = next((one["reading"] for one in house.cards() if one["uuid"] == uuid), None) or {}
    load, used = reading.get("gpu_pct") or 0, reading.get("memory_used_mib") or 0
    return float(load) if load >= Rules().gpu_pct_below and used >= mib else None


def checks(house: House, reading: NodeReading, mib: int) -> Sequence[tuple[str, Callable[[], Found]]]:
    """All of them."""
    return (
        ("the house's cards", lambda: same_cards(house, reading)),
        ("from the click to Jupyter", lambda: click_to_jupyter(house)),
        ("a lab without a card", lambda: without(house)),
        ("one card after the other", lambda: in_turn(house, mib)),
    )
