"""The triage of ASVS 5.0 is whole, and every test that it names is there."""

import ast
import csv
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def rows() -> list[dict[str, str]]:
    with (ROOT / "docs/security/asvs.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_all_253_of_levels_1_and_2_are_triaged() -> None:
    found = rows()
    assert len({row["id"] for row in found}) == len(found) == 253
    assert {row["level"] for row in found} == {"1", "2"}
    assert all(row["how"] and row["met"] in ({"yes", "no"} if row["applies"] == "yes" else {""}) for row in found)


def test_what_applies_is_met_to_95_in_a_hundred_and_80_by_a_test() -> None:
    met = Counter(row["met"] for row in rows() if row["applies"] == "yes")
    assert met["yes"] / met.total() >= 0.95, met
    assert sum(1 for row in rows() if row["met"] == "yes" and row["test"]) >= 80


def test_every_test_that_is_named_exists() -> None:
    named = {row["test"] for row in rows() if row["test"]}
    assert {one for one in named if one.partition("::")[2] not in _tests(one.partition("::")[0])} == set()


def _tests(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
