"""What the furnished house holds beside labs: data sets, snapshots of alice's workspace, and what came of trying the image on cards."""

from datetime import datetime, timedelta

from labs.catalogue.models import Image, Qualification
from labs.datasets.services import NewData, checksums_settle, data_copy_failed, data_copy_ready, data_set_register
from labs.fleet.models import Node
from labs.people.models import Group, User
from labs.snapshots.models import Snapshot
from labs.snapshots.rules import BY_HAND, FAILED, IDLE, READY
from labs.storage.rules import GIB
from labs.tidying.models import Chore, Wish

PASSED = {"matmul": {"passed": True, "words": "fp32 47, tf32 389, bf16 701 TFLOP/s"}, "train": {"passed": True, "words": "loss 2.31 to 0.08, twice the same"}}
OFF = {"matmul": {"passed": False, "words": "bf16 differs from fp32 by 0.71, more than 0.02"}, "loader": {"passed": True, "words": "4 workers, 8 GiB of shm"}}


def data_furnish(*, root: User, alice: User, team: Group, image: Image, node: Node, now: datetime) -> None:
    """All of it."""
    birds = NewData(
        "birds", "2026-10", "Birds of the campus", "CC-BY-4.0", "Vision group", "folder", "/srv/data/birds", "48,562 pictures of 200 kinds, with boxes."
    )
    maps = NewData("maps", "1", "Field maps", "for teaching only", "Geography", "nfs", "files.example.edu:/maps")
    for new, groups in ((birds, []), (maps, [team])):
        made = data_set_register(new=new, groups=groups, actor=root, now=now - timedelta(days=9))
        if new is birds:
            data_copy_ready(data_set_id=made.pk, node_id=node.pk, size=3 * GIB, files=48_562, checksum="5d" * 32, now=now)
        else:
            data_copy_failed(data_set_id=made.pk, node_id=node.pk, words="The server does not answer.", now=now)
    checksums_settle()
    for days, why, state, size, words in ((6, IDLE, FAILED, 0, "The disk of the node is full."), (2, IDLE, READY, 9, ""), (1, BY_HAND, READY, 11, "")):
        at = now - timedelta(days=days)
        Snapshot.objects.create(owner=alice, node=node, why=why, state=state, size=size * GIB, words=words, asked_at=at, made_at=at if state == READY else None)
    _tidied(alice, node, now)
    common = {"image": image, "digest": image.digest, "lab": "x", "driver": node.driver, "node": node.pk, "asked_at": now, "ended_at": now}
    for card, state, words, checks in (("NVIDIA H200", "passed", "bf16 701 TFLOP/s", PASSED), ("CPU", "failed", "matmul: off", OFF)):
        Qualification.objects.create(**common, card=card, state=state, words=words, report={"checks": checks})


def _tidied(alice: User, node: Node, now: datetime) -> None:
    """A look at alice's checkpoints, and what went the day before."""
    Wish.objects.create(owner=alice, metric="val_loss", changed_at=now - timedelta(days=3), caches=["pip"], caches_at=now - timedelta(days=3))
    kept = (("the best by val_loss", 7, "0.19"), ("one of the newest 3", 12, "0.24"), ("one of the newest 3", 11, "0.23"), ("one of the newest 3", 10, "0.22"))
    names = [("", epoch, f"0.{40 - epoch}") for epoch in (9, 8)] + list(kept)
    seen = [
        {
            "path": f"checkpoints/epoch={epoch}-val_loss={loss}.ckpt",
            "size": GIB // 2,
            "changed": (now - timedelta(hours=20 - epoch)).timestamp(),
            "stays": stays,
        }
        for stays, epoch, loss in names
    ]
    found = {
        "seen": seen,
        "all": 6,
        "goes": 2,
        "bytes": GIB,
        "missing": [],
        "more": False,
        "caches": {"pip": GIB // 3, "huggingface": 14 * GIB, "torch": 0, "conda": 0},
    }
    common = {"owner": alice, "node": node, "state": "done", "asked_at": now, "ended_at": now}
    Chore.objects.create(**common, kind="look", why="asked", found=found)
    gone = {"gone": [{"path": "checkpoints/epoch=6-val_loss=0.34.ckpt", "size": GIB // 2}]}
    Chore.objects.create(**common, kind="checkpoints", why="rule", found=gone, count=1, freed=GIB // 2)
