"""Celery's tasks: a doorbell for each loop. One line each, ids only; losing one costs a tick."""

from celery import shared_task

from labs.bus.doorbell import node_queue, ring
from worker import node
from worker.loops import (
    announce,
    apps,
    chores,
    datasets,
    files,
    following,
    hooks,
    images,
    making,
    post,
    reconcile,
    schedule,
    shelf,
    snapshots,
    starters,
    storage,
    warn,
)
from worker.starting import lab_start
from worker.turns import in_turn, node_in_turn


@shared_task(name="worker.schedule")
def schedule_now() -> None:
    """Look at the queue now; a worker that has not the turn tells the one that has."""
    if not _schedule():
        ring("worker.schedule_here", queue=node_queue(node_in_turn(name="schedule")))


@shared_task(name="worker.schedule_here")
def schedule_here() -> None:
    """Look at the queue now if it is still this worker's turn."""
    _schedule()


def _schedule() -> bool:
    return in_turn(name="schedule", work=lambda fence: schedule.tick(now=node.clock().now(), fence=fence))


@shared_task(name="worker.pulse")
def pulse() -> None:
    """This worker consumes."""
    node.watchdog().felt()


@shared_task(name="worker.reconcile")
def reconcile_now() -> None:
    """Look at this node's labs now."""
    reconcile.soon(hands=node.hands())


@shared_task(name="worker.warn")
def warn_now() -> None:
    """Tell this node's labs what is to come."""
    warn.tick(hands=node.hands(), now=node.clock().now())


@shared_task(name="worker.lab_start")
def lab_start_now(*, lab_id: str) -> None:
    """Start a lab that was placed on this node."""
    node.hands().once(reconcile.pool, lab_id, lambda: lab_start(lab_id=lab_id, hands=node.hands()))


@shared_task(name="worker.lab_log")
def lab_log_now(*, lab_id: str) -> None:
    """Read a lab's log because somebody looks at it."""
    node.hands().once(reconcile.pool, f"log:{lab_id}", lambda: reconcile.log_read(lab_id=lab_id, hands=node.hands()))


@shared_task(name="worker.image_prepare")
def image_prepare_now(*, node_id: str, image_id: int) -> None:
    """Bring an image onto this node."""
    node.hands().once(images.pool, f"image:{image_id}", lambda: images.prepare(hands=node.hands(), image_id=image_id))


@shared_task(name="worker.hooks")
def hooks_now() -> None:
    """Make the calls that are due now."""
    hooks.tick(now=node.clock().now())


@shared_task(name="worker.post")
def post_now() -> None:
    """Send the messages that are due."""
    post.tick(now=node.clock().now())


@shared_task(name="worker.announce")
def announce_now() -> None:
    """Write announcements to the terminals of this node's labs."""
    announce.tick(hands=node.hands(), now=node.clock().now())


@shared_task(name="worker.apps")
def apps_now() -> None:
    """Start and end TensorBoard and VS Code in this node's labs."""
    apps.tick(hands=node.hands(), now=node.clock().now())


@shared_task(name="worker.starters")
def starters_now() -> None:
    """Put templates' files into this node's labs."""
    starters.tick(hands=node.hands())


@shared_task(name="worker.files")
def files_now() -> None:
    """Open and close file pages on this node."""
    files.tick(hands=node.hands(), now=node.clock().now())


@shared_task(name="worker.chores")
def chores_now() -> None:
    """Tidy workspaces of this node."""
    chores.tick(hands=node.hands(), now=node.clock().now())


@shared_task(name="worker.datasets")
def datasets_now() -> None:
    """Look at the data sets that are due on this node."""
    datasets.tick(hands=node.hands(), now=node.clock().now())


@shared_task(name="worker.snapshots")
def snapshots_now() -> None:
    """Make, restore and remove snapshots of this node."""
    snapshots.tick(keeper=node.keeper(), now=node.clock().now())


@shared_task(name="worker.storage")
def storage_now(*, owner_id: int) -> None:
    """Measure a person's workspace because they ask."""
    storage.pool.submit(node.hands().alone, lambda: storage.measure(hands=node.hands(), owner_id=owner_id, limits=node.limits()), "measuring a workspace")


@shared_task(name="worker.moving")
def moving_now() -> None:
    """Go on with what is moved between nodes."""
    in_turn(name="moving", work=lambda _: following.tick(carrier=node.carrier(), now=node.clock().now()))


@shared_task(name="worker.making")
def making_now() -> None:
    """Make the images that are asked for on this node."""
    making.tick(hands=node.hands())


@shared_task(name="worker.shelf")
def shelf_now() -> None:
    """Let deleted images go."""
    shelf.deleted_tick(hands=node.hands(), now=node.clock().now())
