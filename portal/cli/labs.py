"""Labs: launch, list, and what is done to one."""

import time
import webbrowser
from dataclasses import dataclass
from typing import Any

from . import show
from .client import Api, api, lab_find
from .faults import MISSING, REFUSED, Fault

LOOK_S = 2.0
ENDED = ("stopped", "failed")
#: Sizes where neither the person nor a template says any.
USUAL = {"gpus": 0, "cpus": 4, "memory_gib": 16, "shm_gib": None, "hours": 4}


@dataclass(frozen=True)
class Wish:
    """What is asked for, as it was typed."""

    name: str
    image: str
    gpus: int | None
    model: str
    cpus: int | None
    memory: int | None
    shm: int
    hours: int | None
    template: str = ""
    data: tuple[str, ...] = ()

    def body(self, client: Api) -> dict[str, Any]:
        """What the API takes: what was typed, else what the template takes, else the usual."""
        usual: dict[str, Any] = USUAL | (_template(client, self.template)["sizes"] if self.template else {})
        typed = {"gpus": self.gpus, "cpus": self.cpus, "memory_gib": self.memory, "hours": self.hours, "shm_gib": self.shm or None}
        sizes = usual | {name: value for name, value in typed.items() if value is not None}
        sizes["image"] = sizes.get("image") if sizes.get("image") and not self.image else image_find(client, self.image)
        begin: dict[str, Any] = {name: value for name, value in (("template", self.template), ("datasets", list(self.data))) if value}
        return sizes | {"name": self.name, "gpu_model": self.model} | begin


def launch(wish: Wish, *, wait: bool) -> None:
    """Ask for it, and follow it until it runs."""
    client = api()
    lab = client.post("/labs", wish.body(client), once=True)
    if wait:
        lab = until(client, lab, ("running",))
    words = f"{lab['name']} is {_state(lab)}.\n{lab['urls']['page']}"
    show.result(lab, f"{words}\ngpulab ssh {lab['name']}" if lab["state"] == "running" else words)


def until(client: Api, lab: dict[str, Any], states: tuple[str, ...]) -> dict[str, Any]:
    """Follow it, saying each new thing once, until it is in one of the states; a Fault when it ended otherwise."""
    said = ""
    while lab["state"] not in (*states, *ENDED):
        words = _state(lab)
        if words != said:
            show.say(f"{lab['name']}: {words}")
            said = words
        time.sleep(LOOK_S)
        lab = client.get(f"/labs/{lab['id']}")
    if lab["state"] not in states:
        raise Fault(f"{lab['name']} ended: {lab['reason']}", code=REFUSED, more=lab)
    return lab


def ls(*, ended: bool) -> None:
    """One's labs, newest first."""
    rows = list(api().all("/labs", live=None if ended else True))
    cells = [(lab["name"], _state(lab), _gpus(lab), show.left(lab["ends_at"]) if lab["state"] == "running" else "", lab["image"]["title"]) for lab in rows]
    show.table(rows, ("LAB", "STATE", "GPUS", "LEFT", "IMAGE"), cells, empty="You have no lab. Launch one: gpulab launch --gpus 1")


def templates() -> None:
    """What a lab can begin with, and what that takes."""
    rows = list(api().all("/templates"))
    cells = [(row["slug"], row["title"], f"about {row['minutes']} min", _needs(row)) for row in rows]
    show.table(rows, ("TEMPLATE", "TITLE", "TAKES", "WITH"), cells, empty="There is no template for you.")


def act(name: str, verb: str, body: dict[str, Any] | None, words: str) -> None:
    """Do something to one lab and say what came of it."""
    client = api()
    lab = lab_find(client, name)
    lab = client.post(f"/labs/{lab['id']}/{verb}", body)
    show.result(lab, words.format(name=lab["name"], ends=show.moment(lab["ends_at"])))


def stop(name: str) -> None:
    """Stop one; what has ended already is said to have."""
    client = api()
    lab = lab_find(client, name)
    over = lab["ended_at"] is not None
    lab = client.post(f"/labs/{lab['id']}/stop", None)
    show.result(lab, f"{lab['name']} has ended already." if over else f"{lab['name']} is stopping. Its files stay.")


def open_page(name: str) -> None:
    """The lab's page; its button leads into JupyterLab, signed in."""
    lab = lab_find(api(), name)
    webbrowser.open(lab["urls"]["page"])
    show.result({"url": lab["urls"]["page"]}, lab["urls"]["page"])


def image_find(client: Api, text: str) -> int:
    """The id of the image that is named so: its slug, its title or a part of them, or the id itself."""
    rows = list(client.all("/images"))
    if text.isdigit():
        return int(text)
    found = [row for row in rows if text.lower() in f"{row['slug']} {row['title']}".lower()]
    exact = [row for row in found if text.lower() in (row["slug"].lower(), row["title"].lower())]
    if not found:
        raise Fault(f"There is no image {text!r}. `gpulab images` lists them." if text else "There is no image to launch from yet.", code=MISSING)
    if text and len(found) > 1 and not exact:
        raise Fault(f"Several images are named so: {', '.join(row['title'] for row in found)}.", code=REFUSED)
    best: dict[str, Any] = min(exact or found, key=lambda row: not row["ready"])
    return int(best["id"])


def _template(client: Api, slug: str) -> dict[str, Any]:
    row = next((one for one in client.all("/templates") if one["slug"] == slug), None)
    if row is None:
        raise Fault(f"There is no template {slug!r}. `gpulab templates` lists them.", code=MISSING)
    if row["refused"]:
        raise Fault(row["refused"], code=REFUSED, more=row)
    return row


def _needs(row: dict[str, Any]) -> str:
    sizes = row["sizes"]
    return str(row["refused"] or f"{sizes['gpus']} GPUs, {sizes['cpus']} cores, {sizes['memory_gib']} GiB")


def _state(lab: dict[str, Any]) -> str:
    """Its state as a person reads it."""
    if lab["state"] == "queued":
        place = f", place {lab['place']}" if lab["place"] else ""
        return f"waiting{place}: {lab['reason']}" if lab["reason"] else f"waiting{place}"
    if lab["state"] == "starting" and lab["stage"]:
        return f"starting: {lab['stage']}"
    if lab["exit_code"] is not None:
        return f"{lab['state']}, exit code {lab['exit_code']}"
    return str(lab["state"])


def _gpus(lab: dict[str, Any]) -> str:
    model = lab["gpus"][0]["model"] if lab["gpus"] else lab["limits"]["gpu_model"]
    return f"{lab['limits']['gpus']} x {model}" if model else str(lab["limits"]["gpus"])
