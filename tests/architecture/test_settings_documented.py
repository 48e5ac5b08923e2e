"""docs/settings.md has every variable that the settings read, and none that they do not."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READ = re.compile(r'env\.\w+\(\s*"([A-Z][A-Z_]+)"')
DOCUMENTED = re.compile(r"^\| `([A-Z][A-Z_]+)` \|", re.MULTILINE)


def test_every_setting_is_documented_and_every_documented_one_is_read() -> None:
    read = set(READ.findall((ROOT / "portal/settings.py").read_text()))
    assert len(read) > 20
    assert set(DOCUMENTED.findall((ROOT / "docs/settings.md").read_text())) == read
