"""Reverse-mode automatic differentiation: Tensor and Function, the tape that every operation is recorded on.

A `Function` is one operation: `forward` takes and returns arrays, `backward` takes the gradients of the outputs
and returns the gradients of the inputs. Calling it on tensors runs `forward` and, if a gradient will be wanted,
leaves a record of the call on the tape; `Tensor.backward()` visits the records from the last to the first.
"""

import copy
import functools
import inspect
import math
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from snncore import backend
from snncore.backend import Array
from snncore.context import changed, context, current_path
from snncore.given import NUMBERS, as_array, as_count, as_output, missing_input, unfit_gradient, unfit_input
from snncore.graph import GraphError, Node, Version, add_to_leaf, as_gradient, share_versions, walk
from snncore.kernels import kernels_for

if TYPE_CHECKING:
    from snncore.functions.trace import Trace
    from snncore.opcount.cost import OpCount

__all__ = [
    "Function",
    "GraphError",
    "Node",
    "Tensor",
    "Unwritten",
    "at_timestep",
    "bump",
    "current_path",
    "no_grad",
    "observe",
]


@contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing inside the block: no tape, nothing saved for backward."""
    with changed("grad_enabled", False):
        yield


@contextmanager
def at_timestep(t: int) -> Iterator[None]:
    """Say that the arrays in the block are [N, ...] of timestep t >= 0, where a network loops over time by itself."""
    with changed("timestep", as_count("at_timestep", t)):
        yield


@contextmanager
def observe(
    callback: Callable[["Function", tuple[Array | None, ...], tuple[Array, ...]], None], currents: bool = True
) -> Iterator[None]:
    """Call `callback(function, inputs, outputs)` after every forward in the block; inputs and outputs are arrays.

    `current_path()` is, during the call, the path of the module whose forward is running.
    currents: False says that the callback reads no entry of what lies between a layer and its neuron. In evaluation
    such layers may then run in one pass, and the callback is told of each operation as if they ran one by one; what was
    never in memory is an `Unwritten`, with the shape and type of the array alone.
    """
    context.observers.append(callback)
    context.currents += currents
    try:
        yield
    finally:
        context.observers.remove(callback)
        context.currents -= currents


class Unwritten:
    """In the place of an array that was never in memory: its shape and type."""

    __slots__ = ("__weakref__", "dtype", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.shape, self.dtype = shape, dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)


def bump(tensors: Iterable["Tensor"]) -> None:
    """Say that the arrays of these tensors were changed in place, as an optimizer step does.

    A backward that needs their earlier values is then refused, instead of giving the gradient of other numbers.
    """
    for x in tensors:
        x.version.count += 1


class Tensor:
    """An array, and where it came from.

    data: array of any shape; floating point, or uint8 for spikes; what is none becomes one, in this machine's byte
    order. grad: array like data, or None. Raises TypeError for a Tensor, and for masked entries.
    """

    __array_ufunc__ = None  # so that `array + tensor` asks the tensor, instead of making an array of tensors

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        if isinstance(data, Tensor):
            raise TypeError("Tensor: expected an array or a number, found a Tensor; use .detach() to cut the tape")
        self._data: Array = data if type(data) is np.ndarray and data.dtype.isnative else as_array(data)
        self.version = Version()
        self.grad: Array | None = None
        self.grad_home: Array | None = None  # an array, like data, in which the gradient of a leaf is to be put
        self.requires_grad = requires_grad
        self.node: Node | None = None  # the call that made it; None for a leaf
        self.index = 0  # which output of that call

    @property
    def data(self) -> Array:
        """The array. `x.data -= step` counts as a change in place; `x.data[...] = new` is seen by nobody: `bump`."""
        return self._data

    @data.setter
    def data(self, value: Array) -> None:
        if value is self._data:
            self.version.count += 1
        else:  # where an optimizer keeps the gradient of the other array need not fit this one
            self._data, self.version, self.grad_home = as_array(value), Version(), None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self._data.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._data.ndim

    @property
    def size(self) -> int:
        """Number of entries."""
        return self._data.size

    @property
    def dtype(self) -> np.dtype:
        """Type of the entries; an integer type means spikes."""
        return self._data.dtype

    def item(self) -> float:
        """Return the value of a tensor with one entry as a Python number."""
        return self.data.item()

    def numpy(self) -> np.ndarray:
        """Return the array as one of NumPy: the same array on a CPU, a copy from a GPU."""
        return backend.asnumpy(self.data)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len: expected a tensor with axes, found one of shape ()")
        return self.shape[0]

    def __bool__(self) -> bool:
        return bool(self.data)  # as NumPy: of one entry, or an error

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        if self.requires_grad:
            raise TypeError("Tensor: NumPy would cut the gradient off; use .data, or .detach() first, to say so")
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def detach(self) -> "Tensor":
        """Return the same array with no past: gradients stop here."""
        y = Tensor(self.data)
        y.version = self.version
        return y

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
        Raises GraphError, before any gradient is added, if nothing was recorded, if what a call saved was freed by an
        earlier backward() or has been changed in place since; and if a Function returns gradients of the wrong number
        or shape.
        """
        if grad is None:
            if self.size != 1:
                raise GraphError(f"backward(): a tensor of shape {self.shape} needs grad=; only one entry does not")
            grad = backend.array_module(self.data).ones(self.shape, np.float32)
        if found := unfit_gradient(grad):
            raise GraphError(f"backward(): expected grad to be an array of numbers, found {found}")
        grad = as_gradient(as_array(grad), self.dtype, self.data)
        if grad.shape != self.shape:
            raise GraphError(f"backward(): expected grad of shape {self.shape}, found {grad.shape}")
        if self.node is not None:
            walk(self.node, self.index, grad, retain_graph)
        elif self.requires_grad:
            add_to_leaf(self, grad)
        else:
            raise GraphError("backward(): this tensor was made under no_grad(), or from nothing that needs a gradient")

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
        __rmatmul__: Callable[..., "Tensor"]
        __iter__: Callable[..., Iterator["Tensor"]]
        __neg__: Callable[..., "Tensor"]
        __getitem__: Callable[..., "Tensor"]
        reshape: Callable[..., "Tensor"]
        transpose: Callable[..., "Tensor"]
        sum: Callable[..., "Tensor"]
        mean: Callable[..., "Tensor"]
        __pow__: Callable[[Any, float], "Tensor"]
        __abs__: Callable[..., "Tensor"]
        __lt__: Callable[..., Array]  # comparisons give arrays of booleans, and no gradient
        __le__: Callable[..., Array]
        __gt__: Callable[..., Array]
        __ge__: Callable[..., Array]
        abs: Callable[..., "Tensor"]
        exp: Callable[..., "Tensor"]
        log: Callable[..., "Tensor"]
        tanh: Callable[..., "Tensor"]
        sigmoid: Callable[..., "Tensor"]
        sqrt: Callable[..., "Tensor"]
        max: Callable[..., "Tensor"]
        argmax: Callable[..., Array]
        flatten: Callable[..., "Tensor"]
        T: Any  # a Tensor, by a property


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

    looks = False
    """True if `cost` reads entries of inputs and outputs only to count events, by `snncore.opcount.cost.look`."""

    adds = False
    """True if backward may be given, for an output that spikes, a `snncore.graph.Parts` that its kernels add up."""

    takes_half = False
    """True for an operation that takes float16 and long doubles, which no kernel does."""

    saved: Any = ()  # a tuple of arrays; None when it is freed
    needs: tuple[bool, ...] = ()
    homes: tuple[Array | None, ...] = ()
    _kernels: ModuleType

    @abstractmethod
    def forward(self, *inputs: Array) -> Any:
        """Compute the output array, or a tuple of them, from the input arrays (None for an input left out)."""

    @abstractmethod
    def backward(self, *grads: Array) -> Any:
        """Compute the gradient of each input of forward (None where there is none) from those of its outputs.

        `self.saved` is what forward kept, `self.needs[i]` says whether input i wants its gradient. Kernels may put
        gradients where `self.into` says, and those arrays are then returned.
        """

    def cost(self, inputs: tuple[Array | None, ...], outputs: tuple[Array, ...]) -> "OpCount":
        """State the operations of a call that was made, as a `snncore.OpCount`, from its input and output arrays.

        Asked only while counting (`snncore.count_ops`), where an operation that states none is an error.
        """
        raise NotImplementedError

    def cost_backward(self, inputs: tuple[Array | None, ...], outputs: tuple[Array, ...]) -> "OpCount":
        """State the operations of the backward of that call, as an OpCount; asked by `count_ops(backward=True)`."""
        raise NotImplementedError

    def traces(self, inputs: tuple[Array | None, ...], outputs: tuple[Array, ...]) -> "tuple[Trace, ...]":
        """State how the membranes of a call went, a trace for each spike train; asked by `snncore.monitor` alone."""
        return ()

    def tell(self, inputs: tuple[Array | None, ...], outputs: tuple[Array, ...]) -> None:
        """Tell all observers of a call; an operation that stands for several may tell of each of them."""
        for callback in context.observers:
            callback(self, inputs, outputs)

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
    def kernels(self) -> ModuleType:
        """The kernels that run on the arrays of this call."""
        return self._kernels

    def into(self, *inputs: int) -> dict[str, Any]:
        """Return {"out": where the optimizer keeps the gradients of these inputs} for kernels that write there.

        A tuple, or one array for one input. Nothing is returned where the kernels cannot (those of a CPU), or where
        one of the inputs has no such place, or has a gradient already, to which this one must be added.
        """
        homes = tuple(self.homes[i] for i in inputs) if self.homes else (None,)
        if any(home is None for home in homes) or not getattr(self._kernels, "FILLS_OUT", False):
            return {}
        return {"out": homes if len(homes) > 1 else homes[0]}

    def save(self, *arrays: Array | None) -> None:
        """Keep arrays for backward; freed as soon as backward has used them."""
        self.saved = arrays

    def __call__(self, *inputs: Any) -> Any:
        """Run forward on tensors or arrays (None for an input left out) and return a Tensor or a tuple of them.

        Raises TypeError for what no kernel takes, as float16 (`Cast` does), and for a forward that gives no numbers.
        """
        inputs += (None,) * (_optional_inputs(type(self)) - len(inputs))
        tensors = [x if x is None or isinstance(x, Tensor) else Tensor(x) for x in inputs]
        arrays = tuple(None if x is None else x.data for x in tensors)
        for i, x in enumerate(arrays):
            if x is not None and x.dtype.char not in NUMBERS and not (self.takes_half and x.dtype.kind == "f"):
                raise unfit_input(self.name, i, x)
        call = copy.copy(self)  # the instance stays a template: a neuron layer calls it once a batch
        call._kernels = kernels_for(*arrays)
        call.needs = tuple(x is not None and context.grad_enabled and x.requires_grad for x in tensors)
        try:
            result = call.forward(*arrays)
        except AttributeError as error:
            raise missing_input(self, arrays, error) from error.__cause__
        xp = backend.array_module(*(x for x in arrays if x is not None))
        results = result if isinstance(result, tuple) else (result,)
        outputs = tuple(as_output(call.name, i, y, xp, self.takes_half) for i, y in enumerate(results))
        if context.observers:
            call.tell(arrays, outputs)
        recorded = any(call.needs)
        made = tuple(Tensor(y, requires_grad=recorded) for y in outputs)
        share_versions(made, tensors)
        if recorded:
            node = Node(call, tensors, made, context.relaxed)
            for index, y in enumerate(made):
                y.node, y.index = node, index
        return made if isinstance(result, tuple) else made[0]


@functools.cache
def _optional_inputs(function: type[Function]) -> int:
    """Number of inputs of forward if the last are optional, so that those left out become None; else 0."""
    parameters = list(inspect.signature(function.forward).parameters.values())[1:]
    return len(parameters) if parameters and parameters[-1].default is None else 0
