"""Folders of workspaces that become templates: fetched from their owner's file page, looked through, and kept as they are at that moment.

The file page runs as its owner in a container of theirs: nobody else's file comes with it, and no link is followed.
"""

import hashlib
import http.client
import io
import logging
import stat
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import urlencode

from django.conf import settings

from labs.files.models import Desk
from labs.files.queries import desks_on
from labs.lifecycle.tokens import upstream_token
from labs.starters.models import Parcel
from labs.starters.queries import parcels_wanted
from labs.starters.rules import MOST_BYTES, MOST_FILES, secret_in
from labs.starters.services import Packed, parcel_failed, parcel_ready, parcels_forget
from worker.asking import TooLong, Unanswered, ask
from worker.hands import Hands
from worker.shipped import packed

log = logging.getLogger(__name__)
pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="parcels")
#: How long a file page may take to open, and to hand over a folder.
OPENS_WITHIN, WITHIN_S = timedelta(minutes=2), 120.0
MIB = 2**20
SHUT = "Your files could not be opened in two minutes. Try again."
LARGE = f"The folder is too large: a template has at most {MOST_FILES} files and {MOST_BYTES // MIB} MiB. Large data is better a data set."
NONE = "There is no such folder in your workspace on this machine, or no file in it."
BROKEN = "Your files did not answer whole. Try again."


class Unfit(Exception):
    """Why a folder is not copied, in words."""


def tick(*, hands: Hands) -> None:
    """Begin with every folder that is wished for on this node. The house's own worker also lets old copies go."""
    if not settings.JOINED:
        parcels_forget(now=hands.clock())
    for parcel in parcels_wanted(node_id=hands.node_id):
        hands.once(pool, f"parcel:{parcel.pk}", lambda parcel=parcel: copy(parcel=parcel, hands=hands))  # type: ignore[misc]


def copy(*, parcel: Parcel, hands: Hands) -> bool:
    """Copy one, once its owner's file page is open. True when it was settled, well or not."""
    desk = desks_on(node_id=hands.node_id).filter(owner=parcel.owner_id).first()
    if desk is None or desk.state != Desk.State.OPEN:
        late = hands.clock() - parcel.asked_at > OPENS_WITHIN
        return late and parcel_failed(parcel=parcel, words=(desk.words if desk else "") or SHUT, now=hands.clock())
    try:
        found = looked_through(fetched(desk, parcel.folder))
    except Unfit as unfit:
        return parcel_failed(parcel=parcel, words=str(unfit), now=hands.clock())
    except (Unanswered, OSError, zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, EOFError) as error:  # what a zip can have wrong is its maker's
        log.warning("%s could not be copied: %r", parcel, error)
        return parcel_failed(parcel=parcel, words=BROKEN, now=hands.clock())
    return parcel_ready(parcel=parcel, packed=found, now=hands.clock())


def fetched(desk: Desk, folder: str) -> bytes:
    """The folder as the file page packs it. Raises Unfit and Unanswered."""
    token = upstream_token(lab_id=desk.pk, attempt=desk.attempt)
    headers, path = {"Authorization": f"token {token}"}, f"{desk.base_url}archive?{urlencode({'kind': 'zip', 'path': folder})}"
    try:
        status, content = ask(address=(desk.host, desk.port or 0), path=path, within=WITHIN_S, headers=headers, most=2 * MOST_BYTES)
    except TooLong as error:
        raise Unfit(LARGE) from error
    if status != http.client.OK:
        raise Unfit(NONE)
    return content


def looked_through(content: bytes) -> Packed:
    """Its plain files; links and whatever is hidden stay behind. Raises Unfit."""
    files: dict[str, bytes] = {}
    left_out = room = 0
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for one in archive.infolist():
            name = one.filename.partition("/")[2]
            if one.is_dir() or not name:
                continue
            if stat.S_ISLNK(one.external_attr >> 16) or any(part.startswith((".", "__")) or not part for part in name.split("/")):
                left_out += 1
                continue
            with archive.open(one) as entry:
                files[name] = entry.read(MOST_BYTES - room + 1)
            room += len(files[name])
            if room > MOST_BYTES or len(files) > MOST_FILES:
                raise Unfit(LARGE)
    if not files:
        raise Unfit(NONE)
    words = f"{left_out} hidden or linked file{'s' if left_out > 1 else ''} stayed behind." if left_out else ""
    sums = "".join(f"{hashlib.sha256(held).hexdigest()}  {name}\n" for name, held in sorted(files.items()))
    warnings = [found for name, held in sorted(files.items()) if (found := secret_in(name, held))]
    return Packed(packed(files), sorted(files), room, hashlib.sha256(sums.encode()).hexdigest(), warnings[:50], words)
