"""The recorded calls, and the walk back through them from the last to the first."""

import contextlib
import heapq
import itertools
import weakref
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from snncore.backend import Array, array_module
from snncore.context import changed, context
from snncore.given import unfit_gradient

if TYPE_CHECKING:  # the tape imports this module
    from snncore.tape import Function, Tensor

__all__ = ["GraphError", "Node", "Parts", "Version", "add_to_leaf", "as_gradient", "share_versions", "walk"]


class GraphError(RuntimeError):
    """A backward pass that cannot be done, or a backward that returned something impossible."""


class Version:
    """How often the array of a tensor was changed in place; tensors that share an array share one."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


def _owner(x: Array) -> Array:
    return x if getattr(x, "base", None) is None else x.base


def _share_memory(x: Array, y: Array) -> bool:
    """Whether a change of one may change the other. Parameters in one flat buffer have one owner, and share nothing."""
    if x is y:
        return True
    return _owner(x) is _owner(y) and (not isinstance(x, np.ndarray) or np.may_share_memory(x, y))


def share_versions(made: Sequence["Tensor"], inputs: Sequence["Tensor | None"]) -> None:
    """Give each output that is a view of an input the version of that input: a change of one changes both."""
    for y in made:
        for x in inputs:
            if x is not None and _share_memory(y.data, x.data):
                y.version = x.version
                break


class Parts(NamedTuple):
    """A gradient that is the sum of two arrays and was not added up: the kernels of the next operation read both.

    Where two operations take what a layer of neurons made, a pass over memory is spared, which would write their sum.
    """

    first: Array
    second: Array

    def total(self) -> Array:
        """Add them up."""
        return self.first + self.second


def apart(g: "Array | Parts") -> tuple[Array, dict[str, Array]]:
    """Return (the first part, {"also": the second}) for a kernel, or (the gradient, {})."""
    return (g.first, {"also": g.second}) if isinstance(g, Parts) else (g, {})


def _saved(function: "Function") -> tuple[Array | None, ...]:
    """What forward kept, also where it was assigned to `self.saved` and is one array."""
    return function.saved if isinstance(function.saved, tuple) else (function.saved,)


class Node:
    """One recorded call. It refers to the nodes of its inputs, not to their arrays: only what forward saved stays."""

    _counter = itertools.count()

    def __init__(
        self, function: "Function", inputs: Sequence["Tensor | None"], outputs: Sequence["Tensor"], relaxed: bool
    ) -> None:
        self.function, self.relaxed = function, relaxed
        self.order = next(Node._counter)
        self.sources: list[tuple[Node, int] | Tensor | None] = [  # a node and which of its outputs, or a leaf, or None
            None if not need or x is None else ((x.node, x.index) if x.node is not None else x)
            for x, need in zip(inputs, function.needs, strict=True)
        ]
        self.input_specs = [None if x is None else (x.shape, x.dtype) for x in inputs]
        self.output_shapes = [y.shape for y in outputs]
        self.output_dtypes = [y.dtype for y in outputs]
        self.retained: dict[int, weakref.ref[Tensor]] = {}
        # what was saved, and how often it had been changed by then: (what it is called, version, count)
        self.watched: list[tuple[str, Version, int]] = []
        if saved := _saved(function):
            kept: dict[int, list[Array]] = {}  # by owner: arrays of different owners share nothing
            for x in saved:
                if x is not None:
                    kept.setdefault(id(_owner(x)), []).append(x)
            self.watched = [
                (f"{kind} {i}", x.version, x.version.count)
                for kind, tensors in (("input", inputs), ("output", outputs))
                for i, x in enumerate(tensors)
                if x is not None and any(_share_memory(x.data, y) for y in kept.get(id(_owner(x.data)), ()))
            ]

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse copy.deepcopy and pickle: a copy of a call would give its gradients to copies of the parameters."""
        raise TypeError(
            f"a tensor that {self.function.name} made cannot be copied with its past; cut it off with .detach() first"
        )

    def check(self) -> None:
        """Raise GraphError if what forward saved is freed, or was changed in place since."""
        name = self.function.name
        if self.function.saved is None:
            raise GraphError(
                f"{name}: backward() was called a second time and what forward saved is freed; "
                "call the model again, or pass retain_graph=True to the first backward()"
            )
        for what, version, count in self.watched:
            if version.count != count:
                raise GraphError(
                    f"{name}: its {what} was saved for backward and has been changed in place since, by an optimizer "
                    "step or by loading weights: the gradient would be that of other numbers; call the model again"
                )

    def homes(self) -> tuple[Array | None, ...]:
        """Where the gradient of each input is to be put, for leaves that are met for the first time, and once here."""
        leaves = [None if isinstance(x, tuple) else x for x in self.sources]
        return tuple(
            None if x is None or x.grad is not None or sum(x is y for y in leaves) > 1 else x.grad_home for x in leaves
        )

    def adds(self, i: int, first: Array, second: Array) -> bool:
        """Whether the kernels of this call add up gradients of its output i, spikes, as they read them."""
        function = self.function
        return (
            function.adds
            and getattr(function.kernels, "ADDS_GRADIENTS", False)
            and self.output_dtypes[i] == np.uint8
            and first.dtype == second.dtype == np.float32
        )

    def run_backward(self, grads: "list[Array | Parts | None]", retain_graph: bool) -> list[Array | None]:
        """Return the checked gradient of every input, in the mode in which forward ran."""
        function = self.function
        known = next(apart(g)[0] for g in grads if g is not None)
        xp = array_module(known)
        function.homes = self.homes()
        full = [
            xp.zeros(shape, known.dtype) if g is None else g for g, shape in zip(grads, self.output_shapes, strict=True)
        ]
        with contextlib.nullcontext() if context.relaxed == self.relaxed else changed("relaxed", self.relaxed):
            try:
                result = function.backward(*full)
            except ValueError as error:
                if "values to unpack" not in str(error):
                    raise
                kept = len(_saved(function))
                raise GraphError(f"{function.name}.backward: {error}; forward kept {kept} by self.save(...)") from error
        if isinstance(result, list):
            raise GraphError(f"{function.name}.backward: expected an array or a tuple of arrays, found a list")
        gradients = list(result) if isinstance(result, tuple) else [result]
        if len(gradients) != len(self.sources):
            raise GraphError(
                f"{function.name}.backward: expected {len(self.sources)} gradients, found {len(gradients)}: one for "
                f"each input of forward, in their order, None for one without"
            )
        for i, (g, spec) in enumerate(zip(gradients, self.input_specs, strict=True)):
            if g is None or self.sources[i] is None or spec is None:
                gradients[i] = None
                continue
            shape, dtype = spec
            if found := unfit_gradient(g):
                raise GraphError(
                    f"{function.name}.backward: expected numbers as the gradient of input {i}, found {found}"
                )
            g = as_gradient(g, dtype, known)
            if g.shape != shape:
                raise GraphError(f"{function.name}.backward: input {i} has shape {shape}, its gradient {g.shape}")
            gradients[i] = g
        if not retain_graph and _saved(function):
            function.saved = None  # only what was kept is freed: an operation that kept nothing may go back again
        return gradients


def as_gradient(g: Array, dtype: np.dtype, beside: Array) -> Array:
    """Return g as an array of the float type of its tensor; of spikes (integers) any float type, else float32."""
    if not hasattr(g, "dtype") or isinstance(g, np.generic):
        g = array_module(beside).asarray(g)
    if dtype.kind == "f":
        return g if g.dtype == dtype else g.astype(dtype)
    return g if g.dtype.kind == "f" else g.astype(np.float32)  # bytes would wrap at 256, and below 0


def add_to_leaf(leaf: "Tensor", grad: Array) -> None:
    """Add a gradient to a leaf, which owns its array: a function may return one array for two inputs."""
    if leaf.grad is None and leaf.grad_home is not None:
        if grad is not leaf.grad_home:  # else the kernel wrote it there
            leaf.grad_home[...] = grad
        leaf.grad = leaf.grad_home
    elif leaf.grad is None:
        leaf.grad = array_module(grad).array(grad, dtype=leaf.dtype if leaf.dtype.kind == "f" else None)
    else:
        leaf.grad += grad


def _check_all(root: Node) -> set[Node]:
    """Check every call below `root` before any gradient moves: a backward that is refused has changed nothing."""
    seen, waiting = {root}, [root]
    while waiting:
        node = waiting.pop()
        node.check()
        for source in node.sources:
            if isinstance(source, tuple) and source[0] not in seen:
                seen.add(source[0])
                waiting.append(source[0])
    return seen


class _Final:
    """Tells `context.gradients` of each leaf as soon as the last call that it goes into has gone back."""

    def __init__(self, told: Any, nodes: set[Node]) -> None:
        self.told, self.left = told, Counter[int]()
        leaves = [source for node in nodes for source in node.sources if source is not None]
        found = {id(leaf): leaf for leaf in leaves if not isinstance(leaf, tuple)}
        self.left.update(id(leaf) for leaf in leaves if not isinstance(leaf, tuple))
        told.expect(found.values())

    def after(self, node: Node) -> None:
        for leaf in node.sources:
            if leaf is not None and not isinstance(leaf, tuple):
                self.left[id(leaf)] -= 1
                if not self.left[id(leaf)]:
                    self.told.final(leaf)
        self.told.go_on()


def walk(root: Node, index: int, grad: Array, retain_graph: bool) -> None:
    """Visit the calls below `root` in the reverse of the order in which they were recorded.

    Raises GraphError, before any gradient is added, where something is freed or was changed.
    """
    nodes = _check_all(root)
    final = None if context.gradients is None else _Final(context.gradients, nodes)
    grads: dict[Node, list[Array | Parts | None]] = {root: [None] * len(root.output_shapes)}
    owned: set[tuple[int, int]] = set()  # sums made here, which may be added to in place
    grads[root][index] = grad
    queue = [(-root.order, root)]
    while queue:
        _, node = heapq.heappop(queue)
        arrived = grads.pop(node)
        for i, ref in node.retained.items():
            g = arrived[i]
            g = g.total() if isinstance(g, Parts) else g
            if (tensor := ref()) is not None and g is not None:
                # a copy: what is on its way is shared, and some of it cannot be written to
                tensor.grad = array_module(g).array(g) if tensor.grad is None else tensor.grad + g
        for source, g in zip(node.sources, node.run_backward(arrived, retain_graph), strict=True):
            if g is None or source is None:
                continue
            if not isinstance(source, tuple):
                add_to_leaf(source, g)
                continue
            below, i = source
            if below not in grads:
                grads[below] = [None] * len(below.output_shapes)
                heapq.heappush(queue, (-below.order, below))
            slots, place = grads[below], (below.order, i)
            waiting = slots[i]
            if isinstance(waiting, Parts):  # this is a third
                waiting = slots[i] = waiting.total()
                owned.add(place)
            if waiting is None:
                slots[i] = g
            elif place in owned:
                slots[i] += g
            elif below.adds(i, waiting, g):
                slots[i] = Parts(waiting, g)
            else:
                slots[i] = waiting + g
                owned.add(place)
        if final is not None:
            final.after(node)
