"""A training step of a network: what forward, backward and the optimizer compute, and the membranes that it keeps."""

from collections.abc import Mapping
from typing import Any

from misnet.audit.text import table
from misnet.models.contract import Model, take
from snncore import Ops, Tensor, count_ops, to_device, training_step
from snncore.energy import Prices, apply_rule
from snncore.optim import Optimizer, add_step

__all__ = ["count_training_step", "training_lines", "training_report"]


def count_training_step(model: Model, batch: Any, optimizer: Optimizer, device: str = "cpu") -> Ops:
    """Count a step on one batch: forward and loss in training mode, backward, and the optimizer.

    batch: as `misnet.models.contract.take` has it. No weight changes; gradients and running statistics do. What draws
    (dropout) draws as in the first step of a run of seed 0.
    """
    *streams, labels = (to_device(x, device) for x in take(model, batch))
    model.train()
    optimizer.zero_grad()
    counting = count_ops(backward=True, samples=len(labels), timesteps=model.config.timesteps)
    with training_step(0, 0), counting as ops:
        model.loss(model(*map(Tensor, streams)), labels).backward()
        add_step(ops, optimizer)
    return ops


def training_report(ops: Ops, prices: Prices) -> dict[str, Any]:
    """Return rule `training` on a counted step as JSON can hold it: for the step, and for one sample of its batch."""
    reading, samples = apply_rule("training", ops, prices), max(1, ops.samples or 1)
    step: dict[str, float] = {
        f"{part}_mj": reading.extra[f"{part}_mj"] for part in ("forward", "backward", "optimizer")
    }
    step |= {"energy_mj": reading.energy_mj, "mac": reading.mac, "ac": reading.ac}
    step |= {name: reading.extra[name] for name in ("membrane_bytes", "membrane_bytes_forward")}
    return {
        "optimizer": next((call.function for call in ops.calls if call.layer == "optimizer"), None),
        "batch_size": samples,
        "prices": prices.name,
        "step": step,
        "per_sample": {name: value / samples for name, value in step.items()},
        "notes": reading.notes,
    }


def training_lines(found: Mapping[str, Any]) -> list[str]:
    """Return the lines on what `training_report` found."""
    one, whole = found["per_sample"], found["step"]
    rows = [
        (f"a training step, batch of {found['batch_size']}, {found['optimizer']}", "mJ a sample", "mJ a step", "share")
    ]
    for part in ("forward", "backward", "optimizer", "energy"):
        name, mj = "all" if part == "energy" else part, f"{part}_mj"
        share = 100 * whole[mj] / whole["energy_mj"] if whole["energy_mj"] else 0
        rows.append((f"  {name}", f"{one[mj]:.4g}", f"{whole[mj]:.4g}", f"{share:.3g} %"))
    kept, held = (one[name] / 2**20 for name in ("membrane_bytes", "membrane_bytes_forward"))
    return [
        *table(rows),
        f"  (prices: {found['prices']}; arithmetic alone. Backpropagation through time keeps the membranes of all",
        f"  timesteps, {kept:.4g} MiB a sample; inference holds {held:.4g} MiB)",
        *(f"  training: {note}" for note in found["notes"]),
    ]
