"""The builds that the catalogue knows from its first day, what never existed, and what is nearest to a wish. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

REPOSITORY = "gpulab/pytorch-cuda"
_TAG = re.compile(r"(?P<torch>\d+\.\d+)(?:\.\d+)?[-+_]?cu(?:da)?(?P<cuda>\d+\.?\d*)")


@dataclass(frozen=True, slots=True)
class Build:
    """One official build of PyTorch, made a lab image by our Dockerfile. `devel`: with the CUDA compilers, some GB larger."""

    torch: str
    cuda: str
    devel: bool = False

    @property
    def tag(self) -> str:
        """Of the lab image; the base's name follows from it."""
        return f"{self.torch}-cuda{self.cuda}{'-devel' if self.devel else ''}"

    @property
    def title(self) -> str:
        """What people choose by."""
        return f"PyTorch {self.torch}, CUDA {self.cuda}{', with compilers' if self.devel else ''}"


BUILDS = (
    *(Build("2.9.1", cuda, devel) for cuda in ("12.6", "12.8", "13.0") for devel in (False, True)),
    Build("2.7.1", "11.8"),
    Build("2.7.1", "11.8", devel=True),
)
#: PyTorch (major.minor) and CUDA -> why there is none.
NEVER = {
    ("2.9", "11.8"): "PyTorch 2.9 was never published for CUDA 11.8, though it is often named: the last one for it is 2.7.",
    ("2.8", "11.8"): "PyTorch 2.8 was never published for CUDA 11.8: the last one for it is 2.7.",
}


def told_by_tag(tag: str) -> tuple[str, str]:
    """(torch major.minor, CUDA) that a tag speaks of, such as 2.9.1-cuda11.8-cudnn8-runtime or 2.9+cu118; empty where it speaks of none."""
    found = _TAG.search(tag)
    if found is None:
        return "", ""
    cuda = found["cuda"]
    return found["torch"], cuda if "." in cuda else f"{cuda[:-1]}.{cuda[-1]}"


def never(torch: str, cuda: str, builds: Iterable[Build] = BUILDS) -> str:
    """Why there is no such build, and what fits instead; empty where nothing is known against it."""
    why = NEVER.get((".".join(torch.split(".")[:2]), cuda))
    return f"{why} {nearest(torch, cuda, builds)}" if why else ""


def nearest(torch: str, cuda: str, builds: Iterable[Build] = BUILDS) -> str:
    """What there is of the same PyTorch, and of the same CUDA, in words."""
    plain = [build for build in builds if not build.devel]
    same_torch = [build.cuda for build in plain if build.torch.startswith(f"{'.'.join(torch.split('.')[:2])}.")]
    same_cuda = [build.torch for build in plain if build.cuda == cuda]
    offers = [f"PyTorch {torch} with CUDA {_either(same_torch)}"] if same_torch else []
    offers += [f"CUDA {cuda} with PyTorch {_either(same_cuda)}"] if same_cuda else []
    return f"What fits: {', or '.join(offers)}." if offers else "Nothing near it is known here."


def _either(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
