"""The state table of a lab and the reasons for which labs end. Pure."""

from dataclasses import dataclass
from datetime import timedelta

QUEUED, OFFERED, STARTING, RUNNING, STOPPING, STOPPED, FAILED = "queued", "offered", "starting", "running", "stopping", "stopped", "failed"
WORDS = {
    QUEUED: "Waiting",
    OFFERED: "Held for you",
    STARTING: "Starting",
    RUNNING: "Running",
    STOPPING: "Stopping",
    STOPPED: "Stopped",
    FAILED: "Failed",
}
LIVE = (QUEUED, OFFERED, STARTING, RUNNING, STOPPING)
FINAL = (STOPPED, FAILED)
#: States in which the lab has, or is about to have, a container on its node.
PLACED = (STARTING, RUNNING, STOPPING)
#: States in which the lab occupies its node, its cards and its owner's quota.
HOLDING = (OFFERED, *PLACED)

#: From -> to. A lab with a container ends by way of STOPPING, so that no lease closes before the engine confirms.
MOVES: dict[str, tuple[str, ...]] = {
    QUEUED: (OFFERED, STARTING, STOPPED, FAILED),
    OFFERED: (QUEUED, STARTING, STOPPED, FAILED),
    STARTING: (RUNNING, STOPPING),
    RUNNING: (STOPPING,),
    STOPPING: (STARTING, STOPPED, FAILED),
    STOPPED: (),
    FAILED: (),
}

#: How long a moving state may last before the reaper acts.
DEADLINES: dict[str, timedelta] = {OFFERED: timedelta(minutes=10), STARTING: timedelta(seconds=300), STOPPING: timedelta(seconds=90)}
STOP_GRACE_S = 30.0


def may_move(was: str, to: str) -> bool:
    """Is the move in the table?"""
    return to in MOVES[was]


@dataclass(frozen=True, slots=True)
class End:
    """Why a lab ended: the words for its owner and what to do next. `failed` decides the final state."""

    code: str
    words: str
    advice: str = ""
    failed: bool = False


ENDS: dict[str, End] = {
    end.code: end
    for end in (
        End("asked", "You stopped it."),
        End("administrator", "An administrator stopped it."),
        End("cancelled", "It was taken out of the queue before it started."),
        End(
            "not_claimed",
            "Its turn came, and you did not take it within 10 minutes, so it went to the next.",
            "Launch it again when you have time; your files are untouched.",
        ),
        End("time_up", "Its time was up.", "Launch it again; your files are where you left them."),
        End("tried", "It was the house's own, to try its image out, and is done.", "What was found is on the page of images."),
        End("made", "It was for an image of yours to be built in, and is done.", "What came of it is on the page of images."),
        End("class_over", "Its class is over.", "Your files are where you left them: launch a lab of your own."),
        End(
            "class_unused",
            "It was started for a class and nobody came into it, so its cards went back to the queue.",
            "Launch a lab of your own; your files are where you left them.",
        ),
        End("drained", "Its node was taken out of service.", "Launch it again: another node is chosen, or it waits until there is room."),
        End("maintenance", "Its node went into maintenance.", "Launch it again: another node is chosen, or it waits until the work is done."),
        End(
            "preempted",
            "Its GPUs were taken back for a lab that is inside its own guarantee.",
            "Your files are where you left them. Labs inside your guarantee, with GPU-hours left, are never taken back.",
        ),
        End("person_disabled", "The account of its owner was disabled."),
        End(
            "image_withdrawn",
            "Its image was not for its owner any more before it started.",
            "Launch it again with another image, or ask whoever shared this one. Your files are where you left them.",
        ),
        End("job_done", "Its program has ended well.", "Its log and results are in the folder jobs of your workspace."),
        End("job_failed", "Its program ended with an error.", "The log's last lines say why.", failed=True),
        End("exited", "Its main process ended by itself.", "The log's last lines say why.", failed=True),
        End(
            "out_of_memory",
            "Its main process needed more memory than the lab had and was killed.",
            "Launch it again with more memory, or load less data at once.",
            failed=True,
        ),
        End(
            "child_out_of_memory",
            "One of its processes needed more memory than the lab had and was killed, and its main process ended after that.",
            "Launch it again with more memory, or load less data at once (fewer data-loader workers, for one).",
            failed=True,
        ),
        End(
            "out_of_shm",
            "Its main process ended because shared memory (/dev/shm) was full.",
            "Launch it again with more shared memory, or use fewer data-loader workers or smaller batches.",
            failed=True,
        ),
        End(
            "cuda_out_of_memory",
            "Its main process ended because the memory of its GPU was full.",
            "Use smaller batches, mixed precision or gradient checkpointing, or launch it again on a larger card.",
            failed=True,
        ),
        End(
            "idle",
            "It was stopped because nothing had used it for a while.",
            "Launch it again when you come back; your files are where you left them.",
        ),
        End(
            "gpu_lost",
            "Its GPU failed.",
            "Launch it again: another card is chosen. The failed one is taken out until an administrator has looked.",
            failed=True,
        ),
        End(
            "node_lost",
            "An administrator gave up its node.",
            "Launch it again on another node. Files that live on that node alone come back with it.",
            failed=True,
        ),
        End("removed", "Its container was removed by hand on the node.", "Launch it again; your files are untouched.", failed=True),
        End("killed", "Its container was killed on the node, not by GPU Lab.", "Launch it again; your files are untouched.", failed=True),
        End("rebooted", "The host restarted while it ran.", "Launch it again; your files are where you left them.", failed=True),
        End("node_silent", "Its node fell silent while it was starting.", "Launch it again; another node will be chosen.", failed=True),
        End("refused_by_engine", "The container engine refused to start it.", "Tell an administrator.", failed=True),
        End("never_ready", "Jupyter did not answer in time.", "The log's last lines say why.", failed=True),
        End(
            "limits_differ",
            "The limits that were found after the start are not the ones that were asked for.",
            "Tell an administrator: the node is not set up as it should be.",
            failed=True,
        ),
        End("image_failed", "Its image could not be prepared.", "Choose another image, or tell an administrator.", failed=True),
    )
}


def final_state(code: str) -> str:
    """STOPPED for an end that somebody or the clock wanted, FAILED for one that nobody did."""
    return FAILED if ENDS[code].failed else STOPPED
