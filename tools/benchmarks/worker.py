"""One network in a process of its own, which runs a step when it is told to: `worker.py JSON`.

The parent writes `step` or `finish` to standard input and reads a line of JSON for each. So workers take turns, and
what slows the machine for a while slows all of them; threads and memory are each one's own.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any


def resident_mib() -> float:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def make_run(spec: dict[str, Any]) -> tuple[Any, float]:
    """Return the object to call (`train` or `infer`) and the memory that its libraries take by themselves."""
    import numpy as np
    from safetensors.numpy import load_file

    batch = np.load(spec["batch"])
    arrays = load_file(spec["weights"])
    data = (batch["audio"], batch["video"], batch["labels"])
    if spec["kind"] == "peer":
        import torch

        from benchmarks.peer import PeerRun

        torch.set_num_threads(spec["threads"])
        before = resident_mib()
        shape = (tuple(spec["channels"]), tuple(spec["cells"]))
        return PeerRun(spec["network"], shape, arrays, data, spec["format"], spec["compiled"]), before
    from benchmarks.ours import OurRun

    before = resident_mib()
    return OurRun(spec["network"], arrays, data), before


def main() -> None:
    spec = json.loads(sys.argv[1])
    sys.path.insert(0, str(Path(__file__).parents[1]))
    run, before = make_run(spec)
    step = getattr(run, spec["mode"])
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to standard error
    print(json.dumps({"ready": True}), file=channel, flush=True)
    for line in sys.stdin:
        if line.strip() == "finish":
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(json.dumps({"peak_mib": peak - before}), file=channel, flush=True)
            return
        started = time.perf_counter()
        result = step()
        seconds = time.perf_counter() - started
        result = result if isinstance(result, float) else result.tolist()
        print(json.dumps({"seconds": seconds, "result": result}), file=channel, flush=True)


if __name__ == "__main__":
    main()
