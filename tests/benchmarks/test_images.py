"""The images' benchmark keeps what it measured, whatever becomes of the rest."""

import json
from pathlib import Path

import pytest

pytest.importorskip("docker")

from benchmarks.images import PARTS, Measured


def test_a_part_that_fails_costs_no_other_and_what_is_known_is_on_the_disk(tmp_path: Path) -> None:
    found = Measured("an image", tmp_path / "figures.json")
    found.add("start", 1.0)
    found.add("stock", 4.0)
    with found.part("saved"):
        raise RuntimeError("the lab ended")
    with found.part("warm"):
        found.add("warm", 2.0)
    kept = json.loads((tmp_path / "figures.json").read_text())
    assert (kept["share"], kept["more_s"], kept["median_s"]["warm"], kept["wrong"]) == (0.25, None, 2.0, {"saved": "the lab ended"})
    assert found.missed() == ["pull was not measured", "saved was not measured", "cold was not measured"]


def test_each_missed_goal_is_told(tmp_path: Path) -> None:
    found = Measured("an image", None)
    for name in PARTS:
        found.add(name, 10.0)
    found.add("stock", 20.0)
    assert found.missed() == ["the start takes 0.5 of the stock one's, above 0.45"]
    found.add("cold", 60.0)
    assert found.missed()[-1] == "cold takes 15.0 s more than the pull and warm together, above 10"
