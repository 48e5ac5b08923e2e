"""The page about how the house is built names all that there is of it, in the order in which it stands."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text()


def test_every_room_has_its_row_where_it_stands() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (rooms,) = [one["layers"] for one in contracts if one.get("containers") == ["labs"]]
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == rooms


def test_every_loop_is_named() -> None:
    told = set(re.findall(r"`(\w+)`", PAGE[PAGE.index("## The worker") : PAGE.index("## The eleven walls")]))
    loops = {path.stem for path in (ROOT / "worker/loops").glob("*.py")} - {"__init__"}
    assert len(loops) > 20
    assert not loops - told
