"""Checkpoints and caches from a terminal."""

from collections.abc import Callable
from typing import Any

import pytest

from labs.storage.models import WorkspaceUse
from labs.tidying.models import Chore
from labs.tidying.services import chore_done
from tests.cli.conftest import Program

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_lies_there_is_shown_and_caches_are_emptied(
    signed_in: Callable[..., Program], alice: Any, node: Any, image: Any, now: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labs.tidying.services.desk_chore", lambda **_: "")
    program = signed_in(alice)
    assert "no workspace" in program("tidy", "--clear", "pip", expect=4)
    WorkspaceUse.objects.create(owner=alice, node=node, size=10, files=1, measured_at=now)
    assert "Nothing was looked at yet" in program("tidy")
    program("tidy", "--look")
    seen = [{"path": "checkpoints/a.ckpt", "size": 3 << 20, "changed": 1_700_000_000.0, "stays": ""}]
    assert chore_done(chore=Chore.objects.get(), found={"seen": seen, "caches": {"pip": 5 << 20}}, now=now)
    said = program("tidy")
    assert ("cache pip" in said, "5.0 MiB" in said, "would go" in said) == (True, True, True)
    assert program.json("tidy", "--clear", "pip")[0]["kind"] == "caches"
