"""A program on a card, by the driver alone: no torch, no CUDA toolkit. Run by itself; says what it has in one line of JSON.

python hold.py look                   the UUIDs of the cards that it may use
python hold.py hold MIB SECONDS       hold memory of the first and keep it busy; a polite end (SIGTERM) is ignored
"""

import ctypes
import json
import signal
import sys
import time
import uuid
from typing import Any

NO_DEVICE = 100
WORDS = {
    2: "CUDA_ERROR_OUT_OF_MEMORY",
    3: "CUDA_ERROR_NOT_INITIALIZED",
    NO_DEVICE: "CUDA_ERROR_NO_DEVICE",
    802: "CUDA_ERROR_SYSTEM_NOT_READY",
    999: "CUDA_ERROR_UNKNOWN",
}
MIB = 1024 * 1024
AT_ONCE = 64


class Cuda:
    """The driver's library; every call that fails raises with its name."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function; OSError with CUDA's own name for what went wrong."""
        code = getattr(self._library, name)(*arguments)
        if code:
            raise OSError(code, f"{WORDS.get(code, f'CUDA error {code}')} by {name}")

    def begin(self) -> int:
        """How many cards this process may use."""
        count = ctypes.c_int()
        try:
            self.call("cuInit", 0)
            self.call("cuDeviceGetCount", ctypes.byref(count))
        except OSError as error:
            if error.errno == NO_DEVICE:
                return 0
            raise
        return count.value

    def device(self, number: int) -> ctypes.c_int:
        """A handle."""
        found = ctypes.c_int()
        self.call("cuDeviceGet", ctypes.byref(found), number)
        return found

    def uuid(self, number: int) -> str:
        """As NVML writes it."""
        raw = (ctypes.c_ubyte * 16)()
        self.call("cuDeviceGetUuid_v2", ctypes.byref(raw), self.device(number))
        return f"GPU-{uuid.UUID(bytes=bytes(raw))}"

    def take(self, mib: int) -> ctypes.c_uint64:
        """Memory of the first card."""
        context, memory = ctypes.c_void_p(), ctypes.c_uint64()
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self.device(0))
        self.call("cuCtxSetCurrent", context)
        self.call("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(mib * MIB))
        return memory

    def work(self, memory: ctypes.c_uint64, mib: int) -> None:
        """A moment of work: the memory is written over and over."""
        for number in range(AT_ONCE):
            self.call("cuMemsetD8Async", memory, ctypes.c_ubyte(number), ctypes.c_size_t(mib * MIB), None)
        self.call("cuCtxSynchronize")


def hold(cuda: Cuda, mib: int, seconds: float) -> None:
    """Hold and work until killed, or until `seconds` are over, so that nothing stays behind."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    memory = cuda.take(mib)
    print(json.dumps({"cards": [cuda.uuid(0)], "mib": mib}), flush=True)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        cuda.work(memory, mib)


def main(arguments: list[str]) -> None:
    """Do what is asked; what fails is a line of JSON too."""
    try:
        cuda = Cuda()
        count = cuda.begin()
        if arguments[0] == "look":
            print(json.dumps({"cards": [cuda.uuid(number) for number in range(count)]}), flush=True)
        else:
            hold(cuda, int(arguments[1]), float(arguments[2]))
    except OSError as error:
        print(json.dumps({"error": error.strerror or str(error)}), flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
