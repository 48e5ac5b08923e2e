"""Small modules of small functions: what ruff does not count."""

import ast
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULE_LINES, TEST_LINES, FUNCTION_LINES, MEDIAN_LINES = 300, 500, 50, 8
Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources() -> Iterator[Path]:
    """Every Python file of the project that is written by hand."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        if "/migrations/" not in name and (ROOT / name).exists():
            yield ROOT / name


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function's name and lines, its signature and docstring included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_module_is_long() -> None:
    long = {}
    for path in sources():
        lines = len(path.read_text().splitlines())
        if lines >= (TEST_LINES if "tests" in path.relative_to(ROOT).parts else MODULE_LINES):
            long[str(path.relative_to(ROOT))] = lines
    assert not long


def test_no_function_is_long() -> None:
    long = {f"{path.relative_to(ROOT)}:{name}": lines for path in sources() for name, lines in functions(path) if lines > FUNCTION_LINES}
    assert not long


def test_the_middle_function_of_the_house_is_small() -> None:
    lines = [lines for path in sources() if path.relative_to(ROOT).parts[0] in ("labs", "portal", "worker") for _, lines in functions(path)]
    assert statistics.median(lines) <= MEDIAN_LINES
