"""What a session holds is sealed in its column: a page that shows a secret once keeps it there until then."""

import json
from typing import Any

from labs.bus.secrets import seal, unseal

PURPOSE = "session"


class SealedSerializer:
    """JSON, readable only with the installation's secret. A session that was sealed with another one is empty."""

    def dumps(self, data: dict[str, Any]) -> bytes:
        """What Django signs and stores."""
        return seal(PURPOSE, json.dumps(data, separators=(",", ":"))).encode("ascii")

    def loads(self, data: bytes) -> dict[str, Any]:
        """What was stored; nothing when it cannot be opened."""
        text = unseal(PURPOSE, data.decode("ascii", errors="replace"))
        opened: dict[str, Any] = json.loads(text) if text else {}
        return opened
