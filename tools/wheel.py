"""Build the `gpulab` command as a wheel, which the portal hands out. Usage: python -m tools.wheel FOLDER

Built from a copy of what it is made of, so that nothing is left in the checkout; not again while that is unchanged.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.bootstrap import ROOT, UV, uv_environment

PARTS = ("pyproject.toml", "README.md", "LICENSE", "requirements/cli.in", "requirements/base.in", "requirements/build.txt")
SOURCES = "portal/cli"
STAMP = ".made-of"


def wheel_build(folder: Path, *, root: Path = ROOT) -> Path:
    """The wheel in `folder`, built if what it is made of has changed. CalledProcessError when the builder cannot be fetched."""
    made_of = _digest(root)
    there = list(folder.glob("gpulab-*.whl"))
    if there and (folder / STAMP).is_file() and (folder / STAMP).read_text() == made_of:
        return there[0]
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        for part in PARTS:
            (tree / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / part, tree / part)
        shutil.copytree(root / SOURCES, tree / SOURCES, ignore=shutil.ignore_patterns("__pycache__"))
        out = Path(scratch) / "out"
        pinned = ["--build-constraint", str(tree / "requirements/build.txt"), "--require-hashes"]
        command = [str(UV), "build", "--wheel", "--quiet", *pinned, "--out-dir", str(out), str(tree)]
        subprocess.run(command, env=uv_environment(), check=True)
        return _put(next(out.glob("*.whl")), folder, made_of)


def _put(wheel: Path, folder: Path, made_of: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    new = shutil.copy(wheel, folder / f"{wheel.name}.new")
    for old in folder.glob("gpulab-*.whl"):
        old.unlink()
    target: Path = Path(new).rename(folder / wheel.name)
    (folder / STAMP).write_text(made_of)
    return target


def _digest(root: Path) -> str:
    digest = hashlib.sha256()
    for path in [*(root / part for part in PARTS), *sorted((root / SOURCES).glob("*.py"))]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def main(arguments: list[str]) -> int:
    """The command line; what goes wrong costs the house nothing but this."""
    try:
        print(wheel_build(Path(arguments[0])))
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"The gpulab command could not be built, so the portal does not hand it out: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
