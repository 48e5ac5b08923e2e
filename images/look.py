"""Tell what is inside an image, from inside it: one JSON object. Plain Python, run by the image's own interpreter, without a network or a GPU."""

import importlib.metadata as metadata
import json
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

#: Where NVIDIA puts the package that lets a newer CUDA run on an older driver of a data centre's card.
COMPATIBILITY = "cuda*/compat/libcuda.so*"
#: Packages whose licences people ask for.
ASKED = re.compile(r"torch|torchvision|triton|jupyterlab|nvidia-.*", re.IGNORECASE)


def version_of(name: str) -> str:
    """The installed version; empty without it."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def tried(ask) -> str:
    """What a part of torch says of itself, as text; empty where it does not."""
    try:
        return str(ask() or "")
    except Exception:
        return ""


def torch_told() -> dict:
    """Versions, and the cards that it has code for: "sm_90" is machine code, "compute_90" portable code."""
    try:
        import torch
    except Exception as error:
        return {"torch_words": f"torch cannot be imported: {error}"} if version_of("torch") else {}
    flags = tried(lambda: torch._C._cuda_getArchFlags()).split() if torch.version.cuda else []
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda or "",
        "cudnn": tried(torch.backends.cudnn.version) if torch.version.cuda else "",
        "nccl": ".".join(map(str, torch.cuda.nccl.version())) if tried(lambda: torch.cuda.nccl.version()) else "",
        "sass": sorted({dotted(flag) for flag in flags if flag.startswith("sm_")}, key=number),
        "ptx": max((dotted(flag) for flag in flags if flag.startswith("compute_")), key=number, default=""),
    }


def dotted(flag: str) -> str:
    """sm_90 and sm_90a are 9.0, sm_120 is 12.0."""
    digits = re.sub(r"\D", "", flag)
    return f"{digits[:-1]}.{digits[-1]}"


def number(capability: str) -> float:
    """For sorting."""
    return float(capability)


def licences() -> dict:
    """Package -> licence, as the package says it, shortened to its first line."""
    found = {}
    for one in metadata.distributions():
        name = one.metadata["Name"] or ""
        if ASKED.fullmatch(name):
            said = one.metadata.get("License-Expression") or one.metadata.get("License") or ""
            classified = [line.rpartition(" :: ")[2] for line in one.metadata.get_all("Classifier", []) if line.startswith("License")]
            found[name] = (said.splitlines() or classified or [""])[0][:80]
    return dict(sorted(found.items()))


def packages() -> list:
    """Every package that Python or the distribution has in it: name, version, kind, licence."""
    found = []
    for one in metadata.distributions():
        said = one.metadata.get("License-Expression") or (one.metadata.get("License") or "").strip().splitlines()
        licence = said if isinstance(said, str) else (said[0] if said else "")
        found.append({"name": one.metadata["Name"] or "", "version": one.version or "", "kind": "python", "licence": licence[:80]})
    listed = shutil.which("dpkg-query")
    if listed:
        ran = subprocess.run([listed, "-W", "-f", "${Package}\t${Version}\n"], capture_output=True, text=True)
        found += [dict(zip(("name", "version"), line.split("\t"), strict=False), kind="debian", licence="") for line in ran.stdout.splitlines()]
    return sorted((one for one in found if one["name"]), key=lambda one: (one["kind"] != "python", one["name"].lower()))


def main() -> None:
    """Print it."""
    sshd = next((path for path in ("/usr/sbin/sshd", shutil.which("sshd") or "") if path and os.access(path, os.X_OK)), "")
    told = {
        "python": platform.python_version(),
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        "jupyter_server": version_of("jupyter-server"),
        "jupyterlab": version_of("jupyterlab"),
        "sshd": bool(sshd),
        "forward": any(Path("/usr/local").glob(COMPATIBILITY)),
        "licences": licences(),
        "packages": packages(),
    }
    print(json.dumps(told | torch_told()))


if __name__ == "__main__":
    main()
