"""Pin requirements/*.in into requirements/*.txt: every package with its hashes, no address of any index.

Usage: make lock. Addresses are left out so that a site's mirror serves the same bytes, proven by the hashes.
"""

import subprocess
import sys
from pathlib import Path

from tools.bootstrap import ROOT, UV, uv_environment

OPTIONS = ("--quiet", "--upgrade", "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--allow-unsafe", "--python-version=3.11")

#: Locks that hold another's packages too. Not `-r` inside the file: what the package's metadata reads may not have it.
BESIDE = {"base": ("cli",), "dev": ("cli", "base")}
#: A grammar that is built at import and that nothing in a lab needs: Jupyter starts 1.9 s sooner without it.
LEFT_OUT = {"lab": ("rfc3987-syntax", "lark")}


def lock(source: Path) -> None:
    """Write the lock beside its source."""
    left_out = [f"--no-emit-package={name}" for name in LEFT_OUT.get(source.stem, ())]
    target = source.with_suffix(".txt")
    beside = [str(source.with_name(f"{name}.in")) for name in BESIDE.get(source.stem, ())]
    command = [str(UV), "pip", "compile", *OPTIONS, *left_out, *beside, str(source), "-o", str(target)]
    subprocess.run(command, env=uv_environment(), cwd=ROOT, check=True)
    print(f"{target.relative_to(ROOT)}: {target.read_text().count('==')} packages")


def main() -> int:
    """Every requirements/*.in."""
    for source in sorted((ROOT / "requirements").glob("*.in")):
        lock(source)
    return 0


if __name__ == "__main__":
    sys.exit(main())
