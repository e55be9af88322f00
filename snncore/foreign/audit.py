"""Exact operation counts of a PyTorch network, a SpikingJelly or an snnTorch one, while it runs on real inputs."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from snncore.foreign.inputs import Inputs, tensor
from snncore.foreign.layout import LAYOUTS, WrongLayout, chosen, doubt, reading
from snncore.foreign.neurons import Neuron
from snncore.foreign.peers import reset
from snncore.foreign.recorder import LayoutError, Recorder, StepsError
from snncore.foreign.trail import Trail
from snncore.foreign.watch import watched
from snncore.nearest import one_of
from snncore.opcount.cost import CostError
from snncore.opcount.ops import Ops

__all__ = ["TorchOps", "audit_torch"]


class TorchOps(Ops):
    """Counts of a network of others.

    notes: what was not counted, or was read in another way, in words. layout: that of the inputs, told or chosen.
    confirmed: the network itself took the first axis of its inputs for time.
    """

    def __init__(self, samples: int | None = None, timesteps: int | None = None, details: bool = True) -> None:
        super().__init__(samples, timesteps, details)
        self.notes: list[str] = []
        self.layout = ""
        self.confirmed = False
        self.ran = samples or 0

    @property
    def samples(self) -> int:
        """Number of samples that ran, whether anything of them was counted or not."""
        return self.ran


def audit_torch(
    model: Any,
    inputs: Any,
    timesteps: int | None = None,
    samples: int | None = None,
    *,
    layout: str | None = None,
    outer_loop: bool = False,
    events: bool | None = None,
    run: Callable[..., Any] | None = None,
    neurons: Mapping[type, Neuron | Callable[[Any], Neuron]] | None = None,
    strict: bool = True,
    details: bool = True,
) -> TorchOps:
    """Count every operation of a PyTorch network on real inputs: what `count_ops` gives for the same network here.

        ops = audit_torch(net, frames, timesteps=4)  # frames [T, N, C, H, W]
        ops.totals()["ac_binary"], apply_rule("exact", ops).energy_mj

    model: a torch module, of SpikingJelly or snnTorch if you like. It runs as it is, in training or evaluation mode,
    without gradients; its buffers are put back and its neurons put to rest before and after.
    inputs: a tensor or array, or a tuple of them for several arguments; a list or generator is of batches, each of
    either kind, whose samples are added. Floats are analog values. Integers and bits are events: the network gets them
    as floats, but for int64 if it has an embedding, where they are indices.
    timesteps: T of each sample; 0 or None for a network without time. samples: N of a batch; read off the inputs.
    layout: the first axes of the inputs: "TN", "NT" (samples first) or "N" (no time: repeated inside, or none).
    Without it, inputs of at least two axes of which the first has T entries in every batch are "TN", unless the
    network takes an axis for something else; `notes` say it where another reading fits as well.
    outer_loop: call the network once for each timestep, on x[t] of inputs [T, N, ...], else on the same x.
    events: True if float inputs are events too, whole numbers from 0 to 255; False to hand integers over as they are.
    run: what to call instead of `model(*inputs)`, as run(model, *inputs), if the loop over time is another one.
    neurons: by class, what a neuron of your own does: a `snncore.foreign.Neuron`, or a function that makes one of a
    module. Without it its operations are counted one by one, and what it compares is spikes.
    details: False keeps less of many batches, see `snncore.Ops`.

    Integers from a neuron are events, whatever float type they have, through views, concatenation, residual additions
    and max pooling; all else is analog. Layers are named by their paths in the network.
    Raises CostError, naming module, type, operation and shapes, if something runs whose cost is not known; with
    strict=False the counts leave it out and `notes` of what is returned name it. ValueError for a wrong argument.
    """
    if not isinstance(model, torch.nn.Module):
        raise ValueError(f"model: expected a torch.nn.Module, found {type(model).__name__}")
    if layout not in (None, *LAYOUTS):
        raise ValueError(f"layout: {one_of(layout, LAYOUTS)}")
    for name, value in (("timesteps", timesteps), ("samples", samples)):
        if value is not None and (not isinstance(value, int) or value < 0):
            raise ValueError(f"{name}: expected an integer of at least 0, found {value!r}")
    if outer_loop and not timesteps:
        raise ValueError("outer_loop: expected timesteps of at least 1 as well")
    ops = TorchOps(None, timesteps, details)
    ops.batches = 0
    left_out: dict[str, int] = {}
    whole: dict[str, int | None] = {}
    rounded: dict[str, int] = {}
    given = Inputs(model, events)
    shape: tuple[int, ...] = ()
    for tensors, axes in _batches(inputs, layout, timesteps, samples):
        if ops.layout == "TN" != axes:
            raise ValueError(
                f"inputs: the first batch was read as TN, and one of shape {tuple(tensors[0].shape)} does not fit; "
                "say layout"
            )
        axes = ops.layout or axes
        try:
            part, rec = _run(model, given, tensors, axes, timesteps, samples, (outer_loop, run, neurons), whole)
        except LayoutError as error:
            if layout or ops.batches or axes != "TN":
                raise WrongLayout(str(error)) from None
            axes = "N"  # the network itself says that its first axis is not time
            part, rec = _run(model, given, tensors, axes, timesteps, samples, (outer_loop, run, neurons), whole)
            left_out[f"inputs of shape {tuple(tensors[0].shape)} were read as {reading(tensors[0].shape, axes)}"] = 1
        ops.layout, ops.confirmed = axes, ops.confirmed or rec.confirmed
        shape = shape or tuple(tensors[0].shape)
        ops.extend(part)
        ops.ran += part.told[0] or 0
        rounded |= {path: max(top, rounded.get(path, 0)) for path, top in rec.rounded.items()}
        for text, n in (*rec.notes.items(), *((_named(*key), n) for key, n in rec.uncounted.items())):
            left_out[text] = left_out.get(text, 0) + n
        for path, names in rec.prepared.items():
            left_out[PREPARED.format(path=path, names=", ".join(sorted(names)))] = 1
        if strict and rec.uncounted:
            raise CostError("not counted: " + "; ".join(_named(*key) for key in rec.uncounted))
    ops.notes = [text if n == 1 else f"{text}: {n} calls" for text, n in left_out.items()]
    unsure = None if layout or not shape else doubt(shape, ops.layout, timesteps, ops.confirmed)
    ops.notes += [text for text in (unsure, given.note()) if text]
    ops.notes += [WHOLE.format(path=path, top=top) for path, top in whole.items() if top]
    ops.notes += [ROUNDED.format(path=path, top=top) for path, top in rounded.items()]
    return ops


PREPARED = "{path} computes with parameters alone ({names}): once for any number of samples, so not counted"
ROUNDED = "{path} gets whole numbers from 0 to {top} that were made by rounding or a sign: counted as events (AC)"
WHOLE = "{path} gets only whole numbers from 0 to {top} that no neuron made: counted as analog values (MAC)"


def _batches(
    inputs: Any, layout: str | None, timesteps: int | None, samples: int | None
) -> Iterator[tuple[tuple, str]]:
    """(tensors, layout) of each batch: that which was told, or which fits: all batches of a list, each of others."""
    alone = torch.is_tensor(inputs) or isinstance(inputs, tuple | np.ndarray | str) or not isinstance(inputs, Iterable)
    batches: Iterable[Any] = [inputs] if alone else inputs
    made = (tuple(map(tensor, batch if isinstance(batch, tuple) else (batch,))) for batch in batches)
    if isinstance(batches, list):
        known = list(made)
        axes = layout or chosen([x[0].shape for x in known], timesteps, samples)
        yield from ((x, axes) for x in known)
        return
    for x in made:
        yield x, layout or chosen([x[0].shape], timesteps, samples)


def _run(
    model: Any,
    given: Inputs,
    tensors: tuple,
    axes: str,
    timesteps: int | None,
    samples: int | None,
    how: tuple[bool, Any, Any],
    whole: dict[str, int | None],
) -> tuple[Ops, Recorder]:
    """Count one batch. whole: by layer, the largest of the whole numbers that it got as analog values, if all were."""
    outer_loop, run, neurons = how
    count = _samples(tensors[0], axes, samples)
    part = Ops(count, timesteps)
    try:
        with torch.no_grad(), _at_rest(model):
            trail = Trail([*model.buffers()], timesteps, count, [*model.parameters()])
            rec = Recorder(trail, type(model).__name__)
            rec.whole = whole
            tensors = tuple(given.take(rec, x, axes) for x in tensors)
            with watched(model, rec, neurons):
                _call(model, rec, tensors, timesteps, axes, outer_loop, run)
    except StepsError as error:
        raise ValueError(str(error)) from None
    rec.finish(part, timesteps)
    return part, rec


def _call(
    model: Any, rec: Recorder, tensors: tuple, timesteps: int | None, layout: str, outer_loop: bool, run: Any
) -> None:
    call = run or (lambda network, *inputs: network(*inputs))
    if not outer_loop:
        call(model, *tensors)
        return
    for t in range(timesteps or 0):
        rec.step = t
        call(model, *(_at(x, t, layout) for x in tensors))


def _at(x: Any, t: int, layout: str) -> Any:
    if layout == "N":
        return x
    return x[t] if layout == "TN" else x[:, t]


@contextmanager
def _at_rest(model: Any) -> Iterator[None]:
    """Put neurons to rest before and after the block, and buffers back to what they were."""
    reset(model)
    kept = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        for buffer, before in kept:
            buffer.copy_(before)
        reset(model)


def _samples(x: Any, layout: str, told: int | None) -> int:
    """Number of samples of an input; ValueError if its axes do not fit what was told."""
    if x.ndim < len(layout):
        raise ValueError(f"inputs: expected at least {len(layout)} axes ({layout}), found shape {tuple(x.shape)}")
    found = int(x.shape[layout.index("N")])
    if told is not None and told != found:
        raise ValueError(f"inputs: expected {told} samples in layout {layout}, found shape {tuple(x.shape)}")
    return found


def _named(path: str, kind: str, operation: str, shapes: str) -> str:
    return f"{operation} in {path} ({kind}) on {shapes}"
