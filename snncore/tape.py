"""Reverse-mode automatic differentiation: Tensor, Function and the walk back through the tape.

A `Function` is one operation: `forward` takes and returns arrays, `backward` takes the gradients of the outputs
and returns the gradients of the inputs. Calling it on tensors runs `forward` and, if a gradient will be wanted,
leaves a record of the call on the tape; `Tensor.backward()` visits the records from the last to the first.
"""

import copy
import functools
import heapq
import inspect
import itertools
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from snncore import backend
from snncore.backend import Array
from snncore.context import changed, context
from snncore.kernels import kernels_for

__all__ = ["Function", "GraphError", "Tensor", "at_timestep", "no_grad", "observe"]


class GraphError(RuntimeError):
    """A backward pass that cannot be done, or a backward that returned something impossible."""


@contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing inside the block: no tape, nothing saved for backward."""
    with changed("grad_enabled", False):
        yield


@contextmanager
def at_timestep(t: int) -> Iterator[None]:
    """Say that the arrays in the block are [N, ...] of timestep t, where a network loops over time by itself."""
    with changed("timestep", t):
        yield


@contextmanager
def observe(callback: Callable[["Function", tuple, tuple], None]) -> Iterator[None]:
    """Call `callback(function, inputs, outputs)` after every forward in the block; inputs and outputs are arrays.

    `snncore.context.context.scope` holds, during the call, the modules whose forward is running.
    """
    context.observers.append(callback)
    try:
        yield
    finally:
        context.observers.remove(callback)


class Tensor:
    """An array, and where it came from.

    data: array of any shape; floating point, or uint8 for spikes. grad: array like data, or None.
    """

    __array_ufunc__ = None  # so that `array + tensor` asks the tensor, instead of making an array of tensors

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        if isinstance(data, Tensor):
            raise TypeError("Tensor: expected an array or a number, found a Tensor; use .detach() to cut the tape")
        self.data: Array = data if hasattr(data, "dtype") and hasattr(data, "shape") else np.asarray(data)
        self.grad: Array | None = None
        self.grad_home: Array | None = None  # an array, like data, in which the gradient of a leaf is to be put
        self.requires_grad = requires_grad
        self.node: Node | None = None  # the call that made it; None for a leaf
        self.index = 0  # which output of that call

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.data.size

    @property
    def dtype(self) -> Any:
        """Type of the entries; an integer type means spikes."""
        return self.data.dtype

    def item(self) -> float:
        """Return the value of a tensor with one entry as a Python number."""
        return self.data.item()

    def detach(self) -> "Tensor":
        """Return the same array with no past: gradients stop here."""
        return Tensor(self.data)

    def retain_grad(self) -> "Tensor":
        """Keep the gradient of this intermediate tensor in `.grad` when backward() passes it."""
        if self.node is not None:
            self.node.retained[self.index] = weakref.ref(self)
        return self

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def backward(self, grad: Array | None = None, retain_graph: bool = False) -> None:
        """Add the gradient of this tensor with respect to every leaf to that leaf's `.grad`.

        grad: gradient of this tensor, same shape; may be left out if the tensor has one entry (then 1).
        retain_graph: keep what was saved, so that backward() can be called again.
        Raises GraphError if nothing was recorded, if the tape was freed by an earlier backward(), or if a
        Function returns a gradient of the wrong number or shape.
        """
        if grad is None:
            if self.size != 1:
                raise GraphError(f"backward(): a tensor of shape {self.shape} needs grad=; only one entry does not")
            grad = backend.array_module(self.data).ones_like(self.data)
        if _shape(grad) != self.shape:
            raise GraphError(f"backward(): expected grad of shape {self.shape}, found {_shape(grad)}")
        if self.node is None:
            if not self.requires_grad:
                raise GraphError(
                    "backward(): this tensor was made under no_grad(), or from nothing that needs a gradient"
                )
            _add_to_leaf(self, grad)
            return
        _walk(self.node, self.index, grad, retain_graph)

    def __repr__(self) -> str:
        made_by = f", made by {self.node.function.name}" if self.node is not None else ""
        return f"Tensor({self.data!r}{made_by})"

    if TYPE_CHECKING:  # set by snncore.functions.operators, so that the tape imports no function
        __add__: Callable[..., "Tensor"]
        __radd__: Callable[..., "Tensor"]
        __sub__: Callable[..., "Tensor"]
        __rsub__: Callable[..., "Tensor"]
        __mul__: Callable[..., "Tensor"]
        __rmul__: Callable[..., "Tensor"]
        __truediv__: Callable[..., "Tensor"]
        __rtruediv__: Callable[..., "Tensor"]
        __matmul__: Callable[..., "Tensor"]
        __neg__: Callable[..., "Tensor"]
        __getitem__: Callable[..., "Tensor"]
        reshape: Callable[..., "Tensor"]
        transpose: Callable[..., "Tensor"]
        sum: Callable[..., "Tensor"]
        mean: Callable[..., "Tensor"]


class Function(ABC):
    """One differentiable operation; subclass it, give it `forward` and `backward`, and call it on tensors.

        class Square(Function):
            def forward(self, x):
                self.save(x)
                return x * x

            def backward(self, gy):
                (x,) = self.saved
                return 2 * x * gy

        y = Square()(x)

    An instance holds static settings only and may be called any number of times: each call works on a copy.
    `forward` must not change its inputs, and `backward` must not change the gradients that it is given.
    """

    spiking = False
    """True if the first outputs are spikes of neurons (firing rates are measured on them)."""

    saved: Any = ()
    needs: tuple[bool, ...] = ()
    _kernels: Any = None

    @abstractmethod
    def forward(self, *inputs: Array) -> Any:
        """Compute the output array, or a tuple of them, from the input arrays (None for an input left out)."""

    @abstractmethod
    def backward(self, *grads: Array) -> Any:
        """Compute the gradient of each input of forward (None where there is none) from those of its outputs.

        `self.saved` is what forward kept, `self.needs[i]` says whether input i wants its gradient.
        """

    def cost(self, inputs: tuple, outputs: tuple) -> Any:
        """State the operations of a call that was made, as a `snncore.OpCount`, from its input and output arrays.

        Asked only while counting (`snncore.count_ops`), where an operation that states none is an error.
        """
        raise NotImplementedError

    def cost_backward(self, inputs: tuple, outputs: tuple) -> Any:
        """State the operations of the backward of that call, as an OpCount; asked by `count_ops(backward=True)`."""
        raise NotImplementedError

    def axis_after(self, axis: int, ndim: int, new_ndim: int) -> int | None:
        """Say which axis of an output [new_ndim axes] is axis `axis` of the input [ndim axes]; None if it is gone.

        Counting follows the axes of time and samples by it; asked after forward. An operation that moves axes says so.
        """
        return axis + max(0, new_ndim - ndim)

    @property
    def name(self) -> str:
        """The name that messages use."""
        return type(self).__name__

    @property
    def kernels(self) -> Any:
        """The kernels that run on the arrays of this call."""
        return self._kernels

    def save(self, *arrays: Array) -> None:
        """Keep arrays for backward; freed as soon as backward has used them."""
        self.saved = arrays

    def __call__(self, *inputs: Any) -> Any:
        """Run forward on tensors or arrays (None for an input left out) and return a Tensor or a tuple of them."""
        inputs += (None,) * (_optional_inputs(type(self)) - len(inputs))
        tensors = [x if x is None or isinstance(x, Tensor) else Tensor(x) for x in inputs]
        arrays = tuple(None if x is None else x.data for x in tensors)
        call = copy.copy(self)  # the instance stays a template: a neuron layer calls it once a batch
        call._kernels = kernels_for(*arrays)
        call.needs = tuple(x is not None and context.grad_enabled and x.requires_grad for x in tensors)
        result = call.forward(*arrays)
        xp = backend.array_module(*(x for x in arrays if x is not None))
        outputs = tuple(xp.asarray(y) for y in (result if isinstance(result, tuple) else (result,)))  # no NumPy scalars
        for callback in context.observers:
            callback(call, arrays, outputs)
        recorded = any(call.needs)
        made = tuple(Tensor(y, requires_grad=recorded) for y in outputs)
        if recorded:
            node = Node(call, tensors, outputs)
            for index, y in enumerate(made):
                y.node, y.index = node, index
        return made if isinstance(result, tuple) else made[0]


@functools.cache
def _optional_inputs(function: type[Function]) -> int:
    """Number of inputs of forward if the last are optional, so that those left out become None; else 0."""
    parameters = list(inspect.signature(function.forward).parameters.values())[1:]
    return len(parameters) if parameters and parameters[-1].default is None else 0


class Node:
    """One recorded call. It refers to the nodes of its inputs, not to their arrays: only what forward saved stays."""

    _counter = itertools.count()

    def __init__(self, function: Function, inputs: list[Tensor | None], outputs: tuple[Array, ...]) -> None:
        self.function = function
        self.order = next(Node._counter)
        self.sources = [  # a node and which of its outputs, or a leaf, or None
            None if not need or x is None else ((x.node, x.index) if x.node is not None else x)
            for x, need in zip(inputs, function.needs, strict=True)
        ]
        self.input_specs = [None if x is None else (x.shape, x.dtype) for x in inputs]
        self.output_shapes = [y.shape for y in outputs]
        self.retained: dict[int, weakref.ref[Tensor]] = {}

    def run_backward(self, grads: list[Array | None], retain_graph: bool) -> list[Array | None]:
        """Return the checked gradient of every input."""
        function = self.function
        if function.saved is None:
            raise GraphError(
                f"{function.name}: backward() was called a second time and what forward saved is freed; "
                "call the model again, or pass retain_graph=True to the first backward()"
            )
        known = next(g for g in grads if g is not None)
        xp = backend.array_module(known)
        full = [
            xp.zeros(shape, known.dtype) if g is None else g for g, shape in zip(grads, self.output_shapes, strict=True)
        ]
        result = function.backward(*full)
        gradients = list(result) if isinstance(result, tuple) else [result]
        if len(gradients) != len(self.sources):
            raise GraphError(
                f"{function.name}.backward: expected {len(self.sources)} gradients, found {len(gradients)}"
            )
        for i, (g, spec) in enumerate(zip(gradients, self.input_specs, strict=True)):
            if g is None or self.sources[i] is None or spec is None:
                gradients[i] = None
                continue
            shape, dtype = spec
            if _shape(g) != shape:
                raise GraphError(f"{function.name}.backward: input {i} has shape {shape}, its gradient {_shape(g)}")
            if dtype.kind == "f" and g.dtype != dtype:
                gradients[i] = g.astype(dtype)
        if not retain_graph:
            function.saved = None
        return gradients


def _shape(x: Any) -> tuple[int, ...]:
    return x.shape if hasattr(x, "shape") else np.shape(x)  # NumPy is not asked about arrays on a GPU


def _add_to_leaf(leaf: Tensor, grad: Array) -> None:
    # A leaf owns its gradient: a function may return one array for two inputs, and optimisers write in place.
    if leaf.grad is None and leaf.grad_home is not None:
        leaf.grad_home[...] = grad
        leaf.grad = leaf.grad_home
    elif leaf.grad is None:
        leaf.grad = backend.array_module(grad).array(grad, dtype=leaf.dtype if leaf.dtype.kind == "f" else None)
    else:
        leaf.grad += grad


def _walk(root: Node, index: int, grad: Array, retain_graph: bool) -> None:
    """Visit the nodes below `root` in the reverse of the order in which they were recorded."""
    grads: dict[Node, list[Array | None]] = {root: [None] * len(root.output_shapes)}
    owned: set[tuple[int, int]] = set()  # sums made here, which may be added to in place
    grads[root][index] = grad
    queue = [(-root.order, root)]
    while queue:
        _, node = heapq.heappop(queue)
        arrived = grads.pop(node)
        for i, ref in node.retained.items():
            if (tensor := ref()) is not None and arrived[i] is not None:
                tensor.grad = arrived[i] if tensor.grad is None else tensor.grad + arrived[i]
        for source, g in zip(node.sources, node.run_backward(arrived, retain_graph), strict=True):
            if g is None or source is None:
                continue
            if isinstance(source, Tensor):
                _add_to_leaf(source, g)
                continue
            below, i = source
            if below not in grads:
                grads[below] = [None] * len(below.output_shapes)
                heapq.heappush(queue, (-below.order, below))
            slots = grads[below]
            if slots[i] is None:
                slots[i] = g
            elif (below.order, i) in owned:
                slots[i] += g
            else:
                slots[i] = slots[i] + g
                owned.add((below.order, i))
