"""Training steps on a GPU as a CUDA graph: recorded once, then launched by a single call instead of a thousand."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from misnet.models.contract import Model, take
from misnet.training.step import Told, Totals, finish, tell, train_step
from snncore.backend import Array, array_module
from snncore.capture import CaptureError, Recorder
from snncore.context import context
from snncore.kernels.choice import arithmetic_choice, kernel_choice, tensor_cores_choice
from snncore.optim import Optimizer

__all__ = ["GraphedSteps", "key_of", "same_bits"]

WARM_UP = 2  # steps before the recording: they compile kernels, and let cuBLAS choose


class Recording(NamedTuple):
    """A recorded step, and the arrays that it reads."""

    graph: Any
    told: Told
    inputs: list[Array]
    factors: Array  # on the device
    pinned: np.ndarray  # where the host writes them


class GraphedSteps:
    """Does what `train_step` does, to the last bit, with a step recorded as a CUDA graph where that is possible.

    The first steps run as ever. Then one is recorded, and run both ways from the same state: unless both leave the same
    bits, the recording is given up. Batches of another shape, as the last of an epoch, and other settings run as ever;
    so does everything where a step cannot be recorded: on a CPU, with parameters that are not all float32, in a network
    that waits for the device or draws on the host, as dropout does.
    say: called once with a line on what is done, or why not.
    """

    def __init__(self, model: Model, optimizer: Optimizer, say: Callable[[str], None] = lambda line: None) -> None:
        self.model, self.optimizer, self.say = model, optimizer, say
        self.recorder: Recorder | None = None
        self.recording: Recording | None = None
        self.key: Any = None  # of the recording, or of the step before
        self.alike = 0  # steps of one key that ran so far
        self.clip_norm: float | None = None
        self.refused = not optimizer.can_be_recorded
        if self.refused:
            say("CUDA graph: off: the parameters are not float32 in one buffer on a GPU")

    def step(
        self, lr: float, batch: Any, totals: Totals, step: int, seed: int = 0, clip_norm: float | None = None
    ) -> float:
        """Do a step; arguments, result and errors as those of `train_step`."""
        self.clip_norm = clip_norm
        if self.refused:
            return train_step(self.model, self.optimizer, lr, batch, totals, step, seed, self.clip_norm)
        if self.recorder is None:
            self.recorder = Recorder()
        with self.recorder.working():
            return self._step(lr, take(self.model, batch), totals, step, seed)

    def _step(self, lr: float, batch: tuple[Array, ...], totals: Totals, step: int, seed: int) -> float:
        key = self._key_of(batch)
        if self.recording is not None and key == self.key and self._in_place(self.recording):
            return self._again(self.recording, lr, batch, totals, step, seed)
        if self.recording is None:
            self.alike, self.key = (self.alike + 1 if key == self.key else 1), key
            if self.alike > WARM_UP:
                return self._first(lr, batch, totals, step, seed)
        return train_step(self.model, self.optimizer, lr, batch, totals, step, seed, self.clip_norm)

    def _key_of(self, batch: tuple[Array, ...]) -> tuple[Any, ...]:
        """What a recording depends on and does not read anew."""
        wanted = tuple(p.requires_grad for p in self.optimizer.parameters.values())
        return (*key_of(batch), self.optimizer.baked(), self.clip_norm, wanted)

    def _in_place(self, recording: Recording) -> bool:
        """Whether the running statistics are the arrays still that the recording changes."""
        held = recording.told.statistics
        return all(b.data is view for b, view in zip(held.buffers, held.views, strict=True))

    def _first(self, lr: float, batch: tuple[Array, ...], totals: Totals, step: int, seed: int) -> float:
        """Record, and do a step both ways."""
        try:
            recording = self._record(batch)
            before = self._state(recording)
            counted = Totals()
            loss = self._again(recording, lr, batch, counted, step, seed)
            after = self._state(recording)
            for x, kept in zip(self._arrays(recording), before, strict=True):
                x[...] = kept
            self.optimizer.take_back()
        except CaptureError as error:
            self._give_up(str(error))
            return train_step(self.model, self.optimizer, lr, batch, totals, step, seed, self.clip_norm)
        expected = Totals()
        result = train_step(self.model, self.optimizer, lr, batch, expected, step, seed, self.clip_norm)
        totals.join(expected)
        same = all(same_bits(x, y) for x, y in zip(self._arrays(recording), after, strict=True))
        if same and result == loss and counted == expected:
            self.recording = recording
            self.say("CUDA graph: on: a recorded step leaves the same bits as one that is launched kernel by kernel")
        else:
            self._give_up("a recorded step does not leave the same bits as one that is launched kernel by kernel")
        return result

    def _give_up(self, why: str) -> None:
        self.refused, self.recording, self.recorder = True, None, None
        self.say(f"CUDA graph: off: {why}")

    def _record(self, batch: tuple[Array, ...]) -> Recording:
        import cupyx

        from snncore.kernels.cuda.gemm import can_record

        assert self.recorder is not None
        if not can_record():
            raise CaptureError("the cuBLAS that CuPy uses was not found, and CuPy's own calls cannot be recorded")
        if type(self.model).after_backward is not Model.after_backward:
            raise CaptureError("the network does something of its own after each backward pass")
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
        recording.graph.launch(self.recorder.stream)
        told = recording.told._replace(rates=recording.told.rates.again())
        *streams, labels = batch
        with np.errstate(all="ignore"):
            return finish(self.model, self.optimizer, told, streams, labels, totals, step, seed)

    def _arrays(self, recording: Recording) -> list[Array]:
        flat = self.optimizer.flat
        assert flat is not None
        return [flat.w, flat.g, *self.optimizer.averages(), *recording.told.statistics.flats]

    def _state(self, recording: Recording) -> list[Array]:
        return [x.copy() for x in self._arrays(recording)]


def key_of(batch: Sequence[Array]) -> tuple[Any, ...]:
    """What any recording depends on and does not read anew: the forms of the batch, and what chooses its kernels."""
    choices = kernel_choice(), arithmetic_choice(), tensor_cores_choice()
    return (*((x.shape, x.dtype.str) for x in batch), *choices, context.relaxed, context.fused)


def same_bits(x: Array, y: Array) -> bool:
    """Whether two arrays hold the same bits; waits for a GPU."""
    kind = f"u{x.itemsize}"
    return bool((x.view(kind) == y.view(kind)).all())
