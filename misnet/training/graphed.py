"""Training steps on a GPU as a CUDA graph: recorded once, then launched by a single call instead of a thousand."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np

from misnet.models.contract import Model, take
from misnet.training.recording import statistics_of
from misnet.training.step import Diverged, Told, Totals, finish, tell, train_step
from snncore.backend import Array, array_module
from snncore.capture import CaptureError, Recorder, recorders, release_all, usable
from snncore.context import context
from snncore.kernels.choice import arithmetic_choice, kernel_choice, tensor_cores_choice
from snncore.optim import Optimizer

__all__ = ["DISTURBED", "SHORT", "GraphedSteps", "key_of", "same_bits"]

SHORT = "memory does not suffice for recorded work and all else"
DISTURBED = "an array was left in the memory that a recorded step writes to"
OTHER_BITS = "a recorded step does not leave the same bits as one that is launched kernel by kernel"
STEP = ("step",)  # the key of the recording
WARM_UP = 2  # steps before the recording: they compile kernels, and let cuBLAS choose


class Recording(NamedTuple):
    """A recorded step, and the arrays that it reads."""

    graph: Any
    told: Told
    inputs: list[Array]
    factors: Array  # on the device
    pinned: np.ndarray  # where the host writes them


class Launched(NamedTuple):
    """A step that was launched kernel by kernel: what it changed, and from what to what, on the host."""

    arrays: list[Array]
    before: list[np.ndarray]
    after: list[np.ndarray]
    loss: float
    totals: Totals


class GraphedSteps:
    """Does what `train_step` does, to the last bit, with a step recorded as a CUDA graph where that is possible.

    The first steps run as ever. Then one is recorded, and run both ways from the same state: unless both leave the same
    bits, the recording is given up. Batches of another shape, as the last of an epoch, and other settings run as ever;
    so does everything where a step cannot be recorded: on a CPU, with parameters that are not all float32, in a network
    that waits for the device or draws on the host, as dropout does, and where memory does not suffice. All steps take
    their memory from the pool of the recording, so that it takes as much as they take without one.
    say: called once with a line on what is done, or why not. recorder: one to share, so that its memory is used again.
    """

    def __init__(
        self,
        model: Model,
        optimizer: Optimizer,
        say: Callable[[str], None] = lambda line: None,
        recorder: Recorder | None = None,
    ) -> None:
        self.model, self.optimizer, self.say, self.recorder = model, optimizer, say, recorder
        self.key: Any = None  # of the recording, or of the step before
        self.alike = 0  # steps of one key that ran so far
        self.clip_norm: float | None = None
        self.refused = False
        if not optimizer.can_be_recorded:
            self._give_up("the parameters are not float32 in one buffer on a GPU")
        elif type(model).after_backward is not Model.after_backward:
            self._give_up("the network does something of its own after each backward pass")

    def step(
        self, lr: float, batch: Any, totals: Totals, step: int, seed: int = 0, clip_norm: float | None = None
    ) -> float:
        """Do a step; arguments, result and errors as those of `train_step`."""
        self.clip_norm = clip_norm
        if self.recorder is not None and self.recorder.short and not self.refused:
            self._give_up(SHORT)
        if not self.refused:
            self.recorder = usable(self.recorder)
            with self.recorder.working():
                result = self._step(lr, take(self.model, batch), totals, step, seed)
            if result is not None:
                return result
        if self.optimizer.can_be_recorded and recorders():  # others have recordings
            result = self._with_room(nullcontext(), lr, batch, totals, step, seed)
            if result is not None:
                return result
            release_all()
        return train_step(self.model, self.optimizer, lr, batch, totals, step, seed, self.clip_norm)

    def _step(self, lr: float, batch: tuple[Array, ...], totals: Totals, step: int, seed: int) -> float | None:
        """Do a step; None: nothing was done, and recording is given up."""
        assert self.recorder is not None
        if self.recorder.disturbed():
            self._give_up(DISTURBED)
            return None
        key = self._key_of(batch)
        recording = self.recorder.kept.get(STEP)
        if recording is not None and key == self.key and self._in_place(recording):
            return self._again(recording, lr, batch, totals, step, seed)
        if recording is None:
            self.alike, self.key = (self.alike + 1 if key == self.key else 1), key
            if self.alike > WARM_UP:
                return self._first(lr, batch, totals, step, seed)
        return self._launched(lr, batch, totals, step, seed)

    def _key_of(self, batch: tuple[Array, ...]) -> tuple[Any, ...]:
        """What a recording depends on and does not read anew."""
        wanted = tuple(p.requires_grad for p in self.optimizer.parameters.values())
        return (*key_of(batch), self.optimizer.baked(), self.clip_norm, wanted)

    def _in_place(self, recording: Recording) -> bool:
        """Whether the running statistics are the arrays still that the recording changes."""
        held = recording.told.statistics
        return all(b.data is view for b, view in zip(held.buffers, held.views, strict=True))

    def _launched(self, lr: float, batch: tuple[Array, ...], totals: Totals, step: int, seed: int) -> float | None:
        """Do a step kernel by kernel, in memory of the recordings; None, with nothing done, if there is too little."""
        from snncore.kernels.cuda.gemm import can_record

        assert self.recorder is not None
        if not can_record():  # before memory is lent, of which a handle of cuBLAS would keep some
            self._give_up("the cuBLAS that CuPy uses was not found, and CuPy's own calls cannot be recorded")
            return None
        result = self._with_room(self.recorder.lent(), lr, batch, totals, step, seed)
        if result is None:
            self._give_up(SHORT)
        return result

    def _with_room(
        self, memory: AbstractContextManager[None], lr: float, batch: Any, totals: Totals, step: int, seed: int
    ) -> float | None:
        """Do a step kernel by kernel; None, with nothing done, if memory does not suffice."""
        statistics, done = statistics_of(self.model), self.optimizer.steps
        kept = statistics.keep()
        try:
            with memory:
                return train_step(self.model, self.optimizer, lr, batch, totals, step, seed, self.clip_norm)
        except MemoryError:
            if self.optimizer.steps != done:
                raise  # the weights have changed: the step cannot be done anew
        statistics.put_back(kept)
        return None

    def _first(self, lr: float, batch: tuple[Array, ...], totals: Totals, step: int, seed: int) -> float | None:
        """Do a step as ever, record it, and do it once more from the same state; None as of `_launched`."""
        assert self.recorder is not None
        arrays, expected, stream = self._arrays(), Totals(), self.recorder.stream
        before = [x.get(stream=stream) for x in arrays]  # on the host: memory of the device may be scarce
        loss = self._launched(lr, batch, expected, step, seed)
        if loss is None:
            return None
        totals.join(expected)
        after = [x.get(stream=stream) for x in arrays]
        statistics, gradients = statistics_of(self.model), [(p, p.grad) for p in self.optimizer.parameters.values()]
        count = self.optimizer.steps
        why = self._try(Launched(arrays, before, after, loss, expected), lr, batch, step, seed)
        if not why:
            self.say("CUDA graph: on: a recorded step leaves the same bits as one that is launched kernel by kernel")
            return loss
        if self.optimizer.steps != count:
            self.optimizer.count_step(lr)
        for p, g in gradients:
            p.grad = g
        for b, view in zip(statistics.buffers, statistics.views, strict=True):
            b.data = view
        self._fill(arrays, after)
        self._give_up(why)
        return loss

    def _try(self, launched: Launched, lr: float, batch: tuple[Array, ...], step: int, seed: int) -> str:
        """Record a step that has been launched, and run it; returns why that is of no use, or keeps it."""
        assert self.recorder is not None
        counted, stream = Totals(), self.recorder.stream
        # Checkpoints copy the averages, and the next batches arrive while this one is computed.
        self.recorder.room = sum(x.nbytes for x in (*self.optimizer.averages(), *batch, *batch))
        try:
            recording = self._record(batch)
            self._fill(launched.arrays, launched.before)
            self.optimizer.take_back()
            if self._again(recording, lr, batch, counted, step, seed) != launched.loss or counted != launched.totals:
                return OTHER_BITS
        except Diverged:  # the recorded step alone
            return OTHER_BITS
        except CaptureError as error:
            return str(error)
        except MemoryError:
            return SHORT
        if not all(same_bits(x.get(stream=stream), y) for x, y in zip(launched.arrays, launched.after, strict=True)):
            return OTHER_BITS
        self.recorder.kept[STEP] = recording
        return ""

    def _give_up(self, why: str) -> None:
        recorder, self.refused, self.recorder = self.recorder, True, None
        if recorder is not None:
            recorder.leave(*STEP, short=why == SHORT)
        self.say(f"CUDA graph: off: {why}")

    def _record(self, batch: tuple[Array, ...]) -> Recording:
        import cupyx

        assert self.recorder is not None
        xp, optimizer = array_module(*batch), self.optimizer
        *streams, labels = inputs = [x.copy() for x in batch]
        pinned = cupyx.empty_pinned((optimizer.recorded_parts(), optimizer.factors_of_a_part), np.float32)
        factors = xp.zeros(pinned.shape, np.float32)

        def update(finite: Array) -> None:
            optimizer.record_step(finite, factors)

        def work() -> Told:
            with np.errstate(all="ignore"):
                return tell(self.model, optimizer, streams, labels, update, self.clip_norm)

        told, graph = self.recorder.record(work)
        return Recording(graph, told, inputs, factors, pinned)

    def _again(
        self, recording: Recording, lr: float, batch: tuple[Array, ...], totals: Totals, step: int, seed: int
    ) -> float:
        """Launch the recording on a batch, and read its numbers."""
        assert self.recorder is not None
        if not self.model.training:
            self.model.train()
        for x, new in zip(recording.inputs, batch, strict=True):
            x[...] = new
        recording.pinned[...] = self.optimizer.count_step(lr)
        recording.factors.set(recording.pinned, stream=self.recorder.stream)
        self.recorder.launch(recording.graph)
        told = recording.told._replace(rates=recording.told.rates.again())
        *streams, labels = batch
        with np.errstate(all="ignore"):
            return finish(self.model, self.optimizer, told, streams, labels, totals, step, seed)

    def _arrays(self) -> list[Array]:
        """All that a step changes, but the gradients of parameters that it leaves elsewhere."""
        flat = self.optimizer.flat
        assert flat is not None
        return [flat.w, flat.g, *self.optimizer.averages(), *statistics_of(self.model).flats]

    def _fill(self, arrays: Sequence[Array], values: Sequence[np.ndarray]) -> None:
        assert self.recorder is not None
        for x, kept in zip(arrays, values, strict=True):
            x.set(kept, stream=self.recorder.stream)


def key_of(batch: Sequence[Array]) -> tuple[Any, ...]:
    """What any recording depends on and does not read anew: the forms of the batch, and what chooses its kernels."""
    choices = kernel_choice(), arithmetic_choice(), tensor_cores_choice()
    return (*((x.shape, x.dtype.str) for x in batch), *choices, context.relaxed, context.fused)


def same_bits(x: Array, y: Array) -> bool:
    """Whether two arrays hold the same bits; waits for a GPU."""
    kind = f"u{x.itemsize}"
    return bool((x.view(kind) == y.view(kind)).all())
