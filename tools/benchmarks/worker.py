"""One network in a process of its own, which runs a step when it is told to: `worker.py JSON`.

The parent writes `step` (of the kind that JSON names), `train`, `infer`, `apart` (of a peer: `PeerRun.spikes_apart`) or
`finish` to standard input and reads a line of JSON for each. So workers take turns, and what slows the machine for a
while slows all of them; threads and memory are each one's own.
"""

import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def memory_mib(key: str) -> float:
    """Resident memory of this process: `VmRSS` now, `VmHWM` at its peak (getrusage would count the parent's, too)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key + ":")) / 1024


def make_run(spec: dict[str, Any]) -> tuple[Any, float]:
    """Return the object to call (`train` or `infer`) and the memory that its libraries take by themselves."""
    import numpy as np
    from safetensors.numpy import load_file

    if spec["kind"] == "alone":
        from misnet.tools.benchmarks.alone import AloneRun

        return AloneRun(), memory_mib("VmRSS")
    batch = np.load(spec["batch"])
    arrays = load_file(spec["peer_weights" if spec["kind"] == "peer" else "weights"])
    data = (batch["audio"], batch["video"], batch["labels"])
    if spec["kind"] == "peer":
        import torch

        from misnet.tools.benchmarks.peer import PeerRun

        torch.set_num_threads(spec["threads"])
        before = memory_mib("VmRSS")
        shape = (tuple(spec["channels"]), tuple(spec["cells"]))
        half = spec.get("half", False)
        return PeerRun(spec["network"], shape, arrays, data, spec["format"], spec["compiled"], half), before
    from misnet.tools.benchmarks.ours import OurRun

    before = memory_mib("VmRSS")
    return OurRun(spec["network"], arrays, data), before


def main() -> None:
    spec = json.loads(sys.argv[1])
    sys.path.insert(0, str(Path(__file__).parents[2]))
    run, before = make_run(spec)
    kinds = {"step": getattr(run, spec["mode"]), "train": run.train, "infer": run.infer}
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to standard error
    print(json.dumps({"ready": True}), file=channel, flush=True)
    gc.freeze()  # as training does
    for line in sys.stdin:
        if line.strip() == "finish":
            print(json.dumps({"peak_mib": memory_mib("VmHWM") - before}), file=channel, flush=True)
            return
        if line.strip() == "apart":
            print(json.dumps(run.spikes_apart()), file=channel, flush=True)
            continue
        step = kinds[line.strip()]
        started, busy = time.perf_counter(), time.process_time()
        result = step()
        times = {"seconds": time.perf_counter() - started, "processor_s": time.process_time() - busy}
        result = result if isinstance(result, float) else result.tolist()
        print(json.dumps(times | {"result": result}), file=channel, flush=True)


if __name__ == "__main__":
    main()
