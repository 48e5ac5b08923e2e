"""Xids in the kernel's log: what the driver says of a card that is too sick to answer NVML."""

import logging
import os
import re
from contextlib import suppress
from pathlib import Path

from worker.probes.base import CardXid, pci_name

log = logging.getLogger(__name__)
KERNEL_LOG = Path("/dev/kmsg")
_XID = re.compile(rb"NVRM: Xid \(PCI:([0-9a-fA-F:.]+)\): (\d{1,4})\b")
CHUNK = 8192
#: Of one look: a kernel that writes faster must not hold up the readings.
MOST_CHUNKS = 1000


class KernelLog:
    """Reads what was written since it was opened, and never waits. Where the log may not be read there is nothing in it, said once."""

    def __init__(self, path: Path = KERNEL_LOG) -> None:
        self._file: int | None = None
        self._rest = b""
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._file, 0, os.SEEK_END)
        except OSError as error:
            log.info("%s cannot be read (%s): Xids are known only as far as NVML tells them", path, error.strerror)

    @property
    def is_read(self) -> bool:
        """May the log be read here?"""
        return self._file is not None

    def xids(self) -> tuple[CardXid, ...]:
        """Those that came since the last look, oldest first."""
        *lines, self._rest = (self._rest + self._new()).split(b"\n")
        found = (_XID.search(line) for line in lines)
        return tuple(CardXid(pci_name(one[1].decode()), int(one[2])) for one in found if one)

    def close(self) -> None:
        """Let go of the log."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _new(self) -> bytes:
        parts: list[bytes] = []
        for _ in range(MOST_CHUNKS if self._file is not None else 0):
            with suppress(BrokenPipeError):  # the kernel has overwritten what was not read yet: go on with what is there
                if not (part := self._read()):
                    break
                parts.append(part)
        return b"".join(parts)

    def _read(self) -> bytes:
        try:
            return os.read(self._file, CHUNK) if self._file is not None else b""
        except BlockingIOError:
            return b""
