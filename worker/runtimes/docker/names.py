"""References of images: their parts, where they come from, and what one of ours is built from. Pure but for a look into folders."""

import re
from dataclasses import dataclass
from pathlib import Path

#: References of this repository are built from images/NAME, where that folder is there; all others are pulled.
OURS = "gpulab/"
#: What a tag of images/pytorch-cuda says of its base: 2.9.1-cuda12.8, -devel with the compilers, -slim with fewer packages, -r and a day where built anew.
_BUILD = re.compile(r"(?P<torch>\d+\.\d+\.\d+)-cuda(?P<cuda>\d+\.\d+)(?P<devel>-devel)?(?P<slim>-slim)?(-r\d+)?")
_BASE = "pytorch/pytorch"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a node's images come from.

    `images_dir`: Dockerfiles of our own. `mirror`: the site's registry, asked in place of every other ("registry.example.edu/mirror").
    `tars`: a folder with images saved as files. `credentials`: Docker's config.json with what private registries want to see.
    """

    images_dir: Path
    mirror: str = ""
    tars: Path | None = None
    credentials: Path | None = None

    def pulled_as(self, reference: str) -> str:
        """What the engine is asked for: the same under the mirror's name, where there is a mirror. Ids and our own have no registry."""
        if not self.mirror or reference.startswith(("sha256:", OURS, f"{self.mirror}/")):
            return reference
        return f"{self.mirror}/{reference}"

    def folder_of(self, reference: str) -> Path | None:
        """The folder with the Dockerfile of one of our own images; None for what is to be pulled."""
        repository, _ = split(reference)
        name = repository.removeprefix(OURS)
        if name == repository or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
            return None
        return self.images_dir / name if (self.images_dir / name / "Dockerfile").is_file() else None

    def tar_of(self, reference: str) -> Path | None:
        """The file that holds the image, if somebody has put it there: `gpulab/lab:1` as gpulab_lab_1.tar."""
        if self.tars is None:
            return None
        file = self.tars / f"{re.sub(r'[^A-Za-z0-9.-]', '_', reference)}.tar"
        return file if file.is_file() else None

    def build_arguments(self, reference: str) -> dict[str, str]:
        """What the tag asks the Dockerfile for; nothing where it says nothing."""
        said = _BUILD.fullmatch(split(reference)[1])
        if said is None:
            return {}
        kind = "devel" if said["devel"] else "runtime"
        base = self.pulled_as(f"{_BASE}:{said['torch']}-cuda{said['cuda']}-cudnn9-{kind}")
        slim = {"SLIM": "yes"} if said["slim"] else {}
        return {"BASE": base, "TORCH": said["torch"], "CUDA": said["cuda"], **slim}


def split(reference: str) -> tuple[str, str]:
    """(repository, tag or digest) of a reference; a port's colon is not a tag's."""
    if "@" in reference:
        repository, _, digest = reference.partition("@")
        return repository, digest
    repository, colon, tag = reference.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (reference, "")
