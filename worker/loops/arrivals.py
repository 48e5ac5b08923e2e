"""Look into the folders of this node's workspaces in which a file starts a job. A file has come when two looks in a row found it the same."""

import logging
from datetime import datetime

from labs.fleet.models import Node
from labs.jobs.queries import folders_watched
from labs.jobs.rules import is_whole
from labs.jobs.services import arrivals_seen
from worker.hands import Hands
from worker.runtimes.base import RuntimeFault
from worker.spec import workspace_name, workspace_owner

log = logging.getLogger(__name__)
#: What each folder held at the last look, by node and what is started.
before: dict[tuple[str, int], dict[str, str]] = {}
#: What is started by files of folders that cannot be looked into now; said once.
unseen: set[int] = set()
#: Files of one folder. Beyond, the first by name are watched.
MOST = 1000


def tick(*, hands: Hands, now: datetime) -> int:
    """One look into each; how many files have come."""
    realm = Node.objects.values_list("realm", flat=True).get(pk=hands.node_id)
    owners = {owner for name in hands.runtime.workspaces() if (owner := workspace_owner(realm, name)) is not None}
    watched = folders_watched(owner_ids=owners)
    return sum(_look(hands, trigger_id, workspace_name(realm, owner_id), folder, now) for trigger_id, owner_id, folder in watched)


def _look(hands: Hands, trigger_id: int, workspace: str, folder: str, now: datetime) -> int:
    try:
        found = hands.runtime.workspace_files(workspace, folder, MOST)
    except RuntimeFault as fault:
        if trigger_id not in unseen:
            log.warning("the folder of job %d is not watched: %s (%s)", trigger_id, fault.words, fault.detail)
        unseen.add(trigger_id)
        return 0
    unseen.discard(trigger_id)
    whole = {name: mark for name, mark in found.items() if is_whole(name)}
    key = (hands.node_id, trigger_id)
    last = before.get(key)
    before[key] = whole
    if last is None:
        return 0
    same = {name: mark for name, mark in whole.items() if last.get(name) == mark}
    return arrivals_seen(trigger_id=trigger_id, node_id=hands.node_id, files=same, now=now)
