"""What webhooks tell, how a call is signed (Standard Webhooks) and when it is tried again. Pure."""

import base64
import hashlib
import hmac
from datetime import datetime, timedelta

#: What happens to a lab, in the words in which people choose it. The names are the ledger's.
EVENTS = {
    "lab.queued": "It was asked for, or waits again",
    "lab.offered": "Its GPUs are held until its owner says yes",
    "lab.starting": "It is being started",
    "lab.running": "It runs",
    "lab.extended": "Its time was extended",
    "lab.degraded": "It has lost its GPU",
    "lab.stopping": "It is being stopped",
    "lab.stopped": "It has ended; a job, with its exit code",
    "lab.failed": "It could not be started, or was lost",
}
#: What the test button sends.
TEST = "test"
#: The waits between tries; after the last a call is given up.
BACK_OFF = tuple(timedelta(seconds=seconds) for seconds in (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600))
#: So many calls given up one after another switch a webhook off.
MOST_GIVEN_UP = 5
SECRET_PREFIX = "whsec_"
#: The purpose for which addresses and secrets are sealed.
SEAL = "hooks"


def signed_headers(*, secret: str, call_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers by which its receiver knows a call for ours: its id (the same at every try), the moment of this try, the signature of both and the body."""
    stamp = str(int(at.timestamp()))
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    mac = hmac.new(key, b".".join((call_id.encode(), stamp.encode(), body)), hashlib.sha256).digest()
    return {"webhook-id": call_id, "webhook-timestamp": stamp, "webhook-signature": f"v1,{base64.b64encode(mac).decode()}"}


def next_wait(*, tries: int) -> timedelta | None:
    """How long to wait after so many tries; None when that was the last."""
    return BACK_OFF[tries - 1] if tries <= len(BACK_OFF) else None
