"""The token that a lab's Jupyter asks for: derived, so that it is nowhere stored, shown or logged."""

import base64
import hashlib
import hmac

from labs.bus.secrets import derive


def upstream_token(*, lab_id: str, attempt: int) -> str:
    """Jupyter's token of this attempt: 32 bytes, derived, so that it is nowhere stored."""
    mac = hmac.new(derive("upstream"), f"{lab_id}:{attempt}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")
