"""Workers that take turns, A B C A B C ..., so that ratios of medians hold on a machine whose speed drifts."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from misnet.interchange.state import state_dict_of
from misnet.models.misnet.model import MISNet

THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def write_network(folder: Path, model: MISNet, batch: tuple[np.ndarray, ...], peer: bool) -> dict[str, Any]:
    """Write a network and its batch (audio, video, labels) for workers; return the part of their spec that says where.

    peer: also write the weights by the names that the network in PyTorch has.
    """
    names = {"batch": "batch.npz", "weights": "weights.safetensors", "peer_weights": "peer.safetensors"}
    files = {key: str(folder / name) for key, name in names.items()}
    np.savez(files["batch"], audio=batch[0], video=batch[1], labels=batch[2])
    save_file({k: np.array(v) for k, v in model.state_dict().items()}, files["weights"])
    if peer:
        save_file(state_dict_of(model, "misnet"), files["peer_weights"])
    config = model.config
    return files | {"network": config.to_dict(), "channels": config.stage_channels, "cells": config.stage_cells}


class WorkerError(RuntimeError):
    """A worker ended before it answered; the message says which."""


class Worker:
    """A process that runs one network; see worker.py."""

    def __init__(self, label: str, spec: dict[str, Any], kernels: str = "auto", last: str | None = None) -> None:
        """Start it. last: a word that it is asked before it ends, and whose answer joins its figures."""
        self.label, self.last, self.result = label, last, None
        self.seconds: list[float] = []
        self.processor: list[float] = []
        environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(spec["threads"]))
        environment["SNNCORE_KERNELS"] = kernels
        environment["PYTHONWARNINGS"] = "ignore"
        script = Path(__file__).with_name("worker.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.read()

    def read(self) -> dict[str, Any]:
        """Return the worker's next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            _, errors = self.process.communicate()
            last = errors.strip().splitlines()[-1:] or ["no message"]
            raise WorkerError(f"{self.label}: the worker ended: {last[0]}")
        return json.loads(line)

    def ask(self, word: str) -> dict[str, Any]:
        """Send a word and return the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.read()

    def step(self, counted: bool) -> None:
        """Run a step; keep its time if it counts."""
        answer = self.ask("step")
        self.result = answer["result"]
        if counted:
            self.seconds.append(answer["seconds"])
            self.processor.append(answer["processor_s"])

    def finish(self) -> dict[str, Any]:
        """End the worker and return its figures."""
        answer = self.ask(self.last) if self.last else {}
        peak = self.ask("finish")["peak_mib"]
        self.process.wait()
        return {
            "label": self.label,
            "median_s": statistics.median(self.seconds),
            "min_s": min(self.seconds),
            "max_s": max(self.seconds),
            "processor_s": min(self.processor),
            "steps": len(self.seconds),
            "peak_mib_above_imports": peak,
        } | answer


def take_turns(workers: list[Worker], steps: int, warmup: int, tick: Any) -> dict[str, dict[str, Any]]:
    """Run all workers in turns and return their figures by label; `tick()` is called after each step."""
    for turn in range(warmup + steps):
        for worker in workers:
            worker.step(counted=turn >= warmup)
            tick()
    return {worker.label: worker.finish() for worker in workers}
