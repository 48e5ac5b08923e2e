"""Reading the catalogue."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from django.db.models import QuerySet

from labs.catalogue.compat import Needs, Row, rows_of
from labs.catalogue.models import Image


def images_offered(*, runtimes: set[str] | None = None) -> QuerySet[Image]:
    """Images that labs can be started from, of the runtimes that the fleet has."""
    found = Image.objects.filter(is_active=True)
    return found if runtimes is None else found.filter(runtime__in=runtimes)


def images_all() -> QuerySet[Image]:
    """Also those that were retired."""
    return Image.objects.all()


def driver_rows() -> tuple[Row, ...]:
    """What each CUDA needs of a driver."""
    return rows_of(_table())


def image_needs(*, image: Image) -> Needs:
    """What an image brings. For which cards a torch is compiled is known of the official builds, and is the same in every image made of one."""
    cuda, torch = _two(image.cuda), _two(image.torch)
    row = next((row for row in _table()["pytorch_images"] if row["exists"] and (row["torch"], row["cuda"]) == (torch, cuda)), None)
    return Needs(cuda=cuda, sass=tuple(row["sass"]), ptx=row["ptx"] or "") if row else Needs(cuda=cuda)


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads((Path(__file__).parent / "cuda_compat.json").read_text())
    return table


def _two(version: str) -> str:
    """Major and minor number."""
    return ".".join(version.split("+")[0].split(".")[:2])
