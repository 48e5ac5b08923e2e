"""Run as a process of its own: reads the cards once a line of stdin and answers with one line of JSON."""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from worker.probes.base import ProbeFault
from worker.probes.choose import probe_choose
from worker.probes.nvml.probe import NvmlProbe


def main() -> None:
    """Answers: {"reading"} or {"fault"}, with the seconds it took; `choose` names the probe that auto takes."""
    probe = NvmlProbe(read_within_s=1.0, open_within_s=float(sys.argv[1]))
    for line in sys.stdin:
        began = time.monotonic()
        if line.startswith("choose"):
            chosen, words = probe_choose("auto", simulated=2, node_id="n1", root=Path(line.split()[1]))
            answer: dict[str, object] = {"kind": chosen.kind, "words": words}
        else:
            try:
                answer = {"reading": asdict(probe.read())}
            except ProbeFault as fault:
                answer = {"fault": fault.words}
        print(json.dumps(answer | {"seconds": time.monotonic() - began}), flush=True)


main()
