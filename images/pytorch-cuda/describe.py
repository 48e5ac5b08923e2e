"""Write what the image holds (torch, CUDA, Python) and fail the build when its labels would say otherwise."""

import argparse
import importlib.metadata
import json
import pathlib
import platform
import sys


def torch_version() -> str:
    """The installed torch with its local part ("2.13.0+cpu"), or "" without one."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return ""


def torch_cuda() -> str:
    """The CUDA that torch was built for, or ""."""
    if not torch_version():
        return ""
    import torch

    return torch.version.cuda or ""


def main() -> None:
    """Compare with what the Dockerfile's arguments say; the base's own local part ("+cu128") may be left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch", default="")
    parser.add_argument("--cuda", default="")
    parser.add_argument("--python", default="", help="major.minor; empty is not compared")
    parser.add_argument("--out", required=True)
    asked = parser.parse_args()
    found = {"torch": torch_version(), "cuda": torch_cuda(), "python": platform.python_version()}
    python_differs = asked.python and asked.python != ".".join(found["python"].split(".")[:2])
    torch_differs = asked.torch not in (found["torch"], found["torch"].partition("+")[0])
    if torch_differs or python_differs or asked.cuda != found["cuda"]:
        sys.exit(f"The base holds {found}, the labels say torch {asked.torch!r}, CUDA {asked.cuda!r}, Python {asked.python!r}.")
    pathlib.Path(asked.out).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
