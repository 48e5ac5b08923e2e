"""What the API gives of images. Moments are ISO 8601 in UTC."""

from datetime import datetime
from typing import Literal

from ninja import Schema
from pydantic import Field

from portal.api.pagination import PageOf


class ImageOnNode(Schema):
    """How far a node is with an image."""

    node: str
    state: Literal["absent", "pulling", "present", "failed"]
    percent: int
    words: str


class Image(Schema):
    """An image that labs can be launched from."""

    id: int = Field(description="What `image` of a new lab takes.")
    slug: str
    title: str
    description: str
    runtime: Literal["docker", "process"]
    digest: str
    torch: str
    cuda: str = Field(description="Empty for a build without CUDA.")
    python: str
    ready: bool = Field(description="At least one node holds it, so that a lab need not wait for it.")
    nodes: list[ImageOnNode]


class ImagePage(PageOf):
    """A page of images."""

    items: list[Image]


class ImageFit(Schema):
    """What to expect of an image on a kind of card of a node."""

    node: str
    model: str
    answer: Literal["ok", "minor", "forward", "unknown", "refused"] = Field(description="`minor` and `forward` compute, with what `words` say.")
    words: str
    fix: str = Field(description="The smallest thing that would mend it; empty where nothing need be.")


class ImageTrial(Schema):
    """What came of trying an image on a kind of card."""

    card: str = Field(description="A model, or CPU.")
    driver: str
    state: Literal["asked", "passed", "failed"]
    words: str
    ended_at: datetime | None


class ImageUse(Schema):
    """How an image was used in 30 days."""

    labs: int
    people: int


class ImageScan(Schema):
    """What a scanner said of an image."""

    scanner: str
    counts: dict[str, int] = Field(description="Known weaknesses by severity.")
    scanned_at: datetime


class ImagePackage(Schema):
    """A package in an image."""

    name: str
    version: str
    kind: str = Field("", description="`python` or `debian`.")
    licence: str = ""


class ImageWhole(Image):
    """All that is known of an image. What was read in it is null until a node has looked into it."""

    offered: bool = Field(description="You can launch a lab from it now.")
    made_at: datetime = Field(description="As its maker says; else when it came into the catalogue.")
    read_at: datetime | None = Field(description="When a node looked into it.")
    fault: str = Field(description="What is wrong with it, as it was seen from inside; empty where nothing is.")
    cudnn: str | None
    nccl: str | None
    sass: list[str] | None = Field(description="Compute capabilities that it is compiled for.")
    ptx: str | None = Field(description="The compute capability whose intermediate code it holds, for this and newer cards.")
    jupyter_server: str | None
    jupyterlab: str | None
    sshd: bool | None = Field(description="Labs of it can be reached by SSH.")
    size: int | None = Field(description="Bytes on a disk.")
    fits: list[ImageFit] = Field(description="By node and model; simulated cards and slices are left out.")
    tried: list[ImageTrial]
    used: ImageUse
    weaknesses: ImageScan | None = Field(description="Null while nobody has looked.")
    packages: list[ImagePackage]
    packages_read_at: datetime | None
