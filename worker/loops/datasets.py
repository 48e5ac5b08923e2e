"""Does this node have the house's data sets, and are they what was registered? Copied where they come from S3, read whole once a week."""

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from django.conf import settings

from labs.datasets.models import DataSet
from labs.datasets.queries import data_barred, data_due
from labs.datasets.rules import S3
from labs.datasets.services import checksums_settle, data_copy_failed, data_copy_ready
from labs.fleet.models import Node, NodeImage
from worker.beside import copy_folder, data_mount
from worker.copies import copy_make
from worker.hands import Hands
from worker.runtimes.base import RuntimeFault
from worker.runtimes.folders import Summed, folder_sum

log = logging.getLogger(__name__)
#: One after the other: what they wait for is the disk.
pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="datasets")
#: For copying one, and for reading one whole.
DEADLINE_S = 12 * 3600.0


def tick(*, hands: Hands, now: datetime) -> int:
    """Begin to look at what is due; how many. The house's own worker also settles what each set's checksum is."""
    if not settings.JOINED:
        checksums_settle()
    due = data_due(node_id=hands.node_id, now=now)
    return sum(hands.once(pool, f"dataset:{one.pk}", lambda one=one: look(hands=hands, data_set=one)) for one in due)  # type: ignore[misc]


def look(*, hands: Hands, data_set: DataSet) -> None:
    """Fetch it if it is to be copied, read it whole, and write down what was found. One that may not lie here is neither fetched nor read."""
    if words := data_barred(data_set=data_set, node_id=hands.node_id):
        data_copy_failed(data_set_id=data_set.pk, node_id=hands.node_id, words=words + _left(data_set), now=hands.clock())
        return
    try:
        found = _found(hands, data_set)
    except RuntimeFault as fault:
        log.warning("data set %s is not on this node: %s (%s)", data_set, fault.words, fault.detail)
        data_copy_failed(data_set_id=data_set.pk, node_id=hands.node_id, words=fault.words, now=hands.clock())
        return
    data_copy_ready(data_set_id=data_set.pk, node_id=hands.node_id, size=found.size, files=found.files, checksum=found.checksum, now=hands.clock())


def _left(data_set: DataSet) -> str:
    """What lies here from before, in words: labs that run may still read it, so an administrator removes it."""
    folder = copy_folder(data_set)
    return f" A copy from before lies in {folder}: remove it when no lab reads it any more." if data_set.backend == S3 and folder.is_dir() else ""


def _found(hands: Hands, data_set: DataSet) -> Summed:
    realm = Node.objects.values_list("realm", flat=True).get(pk=hands.node_id)
    if data_set.backend == S3:
        copy_make(data_set.source, copy_folder(data_set), DEADLINE_S)
    mount = data_mount(data_set, target=f"/data/{data_set.name}", realm=realm)
    with hands.runtime.data_opened(mount, _image(hands)) as folder:
        return folder_sum(Path(folder), DEADLINE_S)


def _image(hands: Hands) -> str:
    """Any image that this node has; empty without one."""
    row = NodeImage.objects.select_related("image").filter(node_id=hands.node_id, state=NodeImage.State.PRESENT).first()
    return row.image.reference if row else ""
