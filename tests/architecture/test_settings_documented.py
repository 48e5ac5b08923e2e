"""docs/settings.md has every variable that the settings read, and none that nobody reads."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READ = re.compile(r'env\.\w+\(\s*"([A-Z][A-Z_]+)"')
DOCUMENTED = re.compile(r"^\| `([A-Z][A-Z_]+)` \|", re.MULTILINE)


def documented() -> set[str]:
    """The variables that have a row."""
    return set(DOCUMENTED.findall((ROOT / "docs/settings.md").read_text()))


def test_every_setting_is_documented() -> None:
    read = set(READ.findall((ROOT / "portal/settings.py").read_text()))
    assert len(read) > 20
    assert not read - documented()


def test_every_documented_setting_is_read_by_somebody() -> None:
    places = [ROOT / "portal/settings.py", *(ROOT / "tools").rglob("*.py"), *(ROOT / "worker").rglob("*.py")]
    text = "\n".join(path.read_text() for path in places)
    assert not {name for name in documented() if f'"{name}"' not in text}
