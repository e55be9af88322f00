"""All ambient state of the engine, by thread, in one place; this module imports nothing of the project.

What runs deep inside a network must know things that no argument carries: whether a tape is wanted, who watches, which
module is running, which timestep an array belongs to. Everything of that kind is a field of `context`; the functions
that change a field for the length of a `with` block stand beside the subject that they belong to.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["changed", "context", "current_path", "enter", "exchange"]


class Process:
    """What all threads share."""

    weights: np.random.Generator | None = None
    """The random stream of layers that are made without one; None before the first."""


class Context(threading.local):
    """The fields, each with its value in a thread that has changed nothing."""

    grad_enabled = True
    """False under `no_grad()`: nothing is recorded."""
    timestep: int | None = None
    """The timestep that arrays [N, ...] belong to, while a network loops over time (`at_timestep`)."""
    samples: int | None = None
    """How many samples the operation that is asked for its cost sees, if `count_ops` was told."""
    timesteps: int | None = None
    """How many timesteps, if `count_ops` was told; 0 in a network that has no axis of time."""
    leading: int | None = None
    """How many of the first axes are time and samples, where the counting knows how the arrays were made."""
    counting: dict[type, Any] | None = None
    """The kernels that count arrays of a type, while operations are asked for their costs: looked up once."""
    unchanging: dict[Any, Any] | None = None
    """What was found in weights, by weights, while operations are asked for their costs, if no weight changes."""
    looking: Callable[..., Any] | None = None
    """Takes the counting of events in arrays, while a cost is asked for (`snncore.opcount.cost.look`)."""
    trusted = False
    """True while an operation of the engine states its cost, whose counts come from kernels that count upwards."""
    origin: Any = None
    """Where the first input of that operation comes from (`snncore.opcount.origin.Origin`), if the counting saw it."""
    stated = False
    """True under `stated_elsewhere()`: what runs is part of an operation that states the cost of the whole."""
    relaxed = False
    """True under `relaxed()`: neurons emit the primitive of their surrogate instead of spikes."""
    fused = True
    """False under `nn.unfused()`: BatchNorm and the neuron after it run as two operations."""
    kernels: str | None = None
    """Which kernels run (`kernels.choice.use_kernels`); None: what the environment variable SNNCORE_KERNELS says."""
    arithmetic: str | None = None
    """How layers with weights sum (`kernels.choice.arithmetic`); None: what the variable SNNCORE_ARITHMETIC says."""
    tensor_cores: str | None = None
    """Whether a GPU convolves on tensor cores (`kernels.choice.tensor_cores`); None: what SNNCORE_TENSOR_CORES says."""

    capturing = False
    """True while what runs is recorded, to be run again by the device alone (`snncore.capture`)."""

    forwards = 0
    """Counts the calls of modules that no other module made: of whole networks."""
    seed: int | None = None
    """The seed of the run, inside `training_step`: what is drawn depends on it, the step and the module alone."""
    train_step: int = 0
    """The number of the step, inside `training_step`."""
    share: Any = None
    """This rank's part of the batch that is spread over ranks (`snncore.parallel.Share`); None: all of it is here."""
    gradients: Any = None
    """Who is told, while backward runs, which gradients are final (`snncore.overlap.Overlap`)."""
    process = Process()

    def __init__(self) -> None:
        self.observers: list[Callable] = []
        self.currents = 0  # how many of them read what lies between a layer and its neuron
        self.scope: list[Any] = []  # the modules whose forward is running, outermost first
        self.paths: dict[int, str] | None = None  # of the modules below the outermost one, by id, if asked for
        self.draws: dict[tuple[object, ...], int] = {}  # how often each module has drawn random numbers in this step


context = Context()
"""The state of the running thread."""


@contextmanager
def changed(field: str, value: Any) -> Iterator[None]:
    """Give a field of `context` another value inside the block."""
    before = getattr(context, field)
    setattr(context, field, value)
    try:
        yield
    finally:
        setattr(context, field, before)


def exchange(values: dict[str, Any]) -> dict[str, Any]:
    """Give several fields other values, and return those that they had; what is called often must not take long."""
    fields = vars(context)  # of this thread, found once for all fields
    before = {name: fields[name] if name in fields else getattr(Context, name) for name in values}
    fields.update(values)
    return before


def enter(module: Any) -> None:
    """Put a module, whose forward begins, on `context.scope`."""
    if not context.scope:
        context.forwards += 1
        context.paths = None  # the tree may have changed since the last call
    context.scope.append(module)


def current_path() -> str:
    """Return the path of the module whose forward is running, such as `stages.0.conv`.

    It is "" in the outermost module itself and outside of all; the name of its class for a module that the outermost
    one does not hold. For observers (`snncore.observe`), which are called inside.
    """
    if not context.scope:
        return ""
    root, module = context.scope[0], context.scope[-1]
    if context.paths is None or id(module) not in context.paths:
        context.paths = {id(m): path for path, m in root.named_modules()}
    return context.paths.get(id(module), type(module).__name__)
