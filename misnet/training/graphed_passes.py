"""Evaluation on a GPU as CUDA graphs: a batch is recorded once, then launched by a single call."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from misnet.models.contract import Model
from misnet.training.graphed import key_of, same_bits
from misnet.training.step import Seen, look
from snncore import Tensor
from snncore.backend import Array
from snncore.capture import CaptureError, Recorder
from snncore.context import context

__all__ = ["GraphedPasses"]

WARM_UP = 1  # batches of a kind before its recording: they compile kernels, and let cuBLAS choose
MOST = 2  # recordings: of a whole batch, and of a smaller one at the end


class Recording(NamedTuple):
    """A recorded batch, the arrays that it reads, and the weights and statistics that it was recorded with."""

    graph: Any
    seen: Seen
    inputs: list[Array]
    weights: list[Array]


class GraphedPasses:
    """Does what `look` does, to the last bit, with a batch recorded as a CUDA graph where that is possible.

    The first batch of a shape runs as ever; the second is recorded, and runs both ways: unless both give the same
    scores, loss, right answers and counts of spikes, to the bit, recordings are given up. The last and smaller batch of
    a set has a recording of its own, made when the set is evaluated for the second time; batches of a third shape run
    as ever. So does everything where a batch cannot be recorded or somebody observes the layers, which a graph does not
    call. Where weights or statistics are other arrays than those that were recorded, the batch is recorded anew.
    say: called once with a line on what is done, or why not. recorder: one to share, so that its memory is used again;
    nothing else may be launched on it meanwhile.
    """

    def __init__(
        self, model: Model, say: Callable[[str], None] = lambda line: None, recorder: Recorder | None = None
    ) -> None:
        self.model, self.say, self.recorder = model, say, recorder
        self.recordings: dict[Any, Recording] = {}
        self.met: dict[Any, int] = {}  # batches of each kind that ran as ever
        self.refused = self.said = False

    def look(self, streams: Sequence[Array], labels: Array, keep: bool = False) -> Seen:
        """As `look`. keep: the scores are copied, to be used after the next batch; else that may overwrite them."""
        if self.refused or context.observers:
            return look(self.model, streams, labels)
        if not hasattr(labels, "get"):
            self._give_up("the arrays are not on a GPU")
            return look(self.model, streams, labels)
        if self.recorder is None:
            self.recorder = Recorder()
        with self.recorder.working():
            seen = self._look(self.recorder, [*streams, labels])
            if keep:
                seen = seen._replace(scores={head: Tensor(x.data.copy()) for head, x in seen.scores.items()})
            return seen

    def _look(self, recorder: Recorder, batch: list[Array]) -> Seen:
        key = key_of(batch)
        recording = self.recordings.get(key)
        if recording is not None and not all(x is y for x, y in zip(self._weights(), recording.weights, strict=True)):
            del self.recordings[key]
            self.met[key], recording = 0, None
        if recording is not None:
            return self._again(recorder, recording, batch)
        self.met[key] = self.met.get(key, 0) + 1
        if self.met[key] > WARM_UP and len(self.recordings) < MOST:
            return self._first(recorder, key, batch)
        return self._launched(batch)

    def _launched(self, batch: list[Array]) -> Seen:
        *streams, labels = batch
        return look(self.model, streams, labels)

    def _first(self, recorder: Recorder, key: Any, batch: list[Array]) -> Seen:
        """Record, and run the batch both ways."""
        from snncore.kernels.cuda.gemm import can_record

        expected = self._launched(batch)
        try:
            if not can_record():
                raise CaptureError("the cuBLAS that CuPy uses was not found, and CuPy's own calls cannot be recorded")
            inputs = [x.copy() for x in batch]
            seen, graph = recorder.record(lambda: self._launched(inputs))
        except CaptureError as error:
            self._give_up(str(error))
            return expected
        recording = Recording(graph, seen, inputs, self._weights())
        again = self._again(recorder, recording, batch)
        if not all(same_bits(x, y) for x, y in zip(_numbers(expected), _numbers(again), strict=True)):
            self._give_up("a recorded batch does not give the same bits as one that is launched kernel by kernel")
            return expected
        self.recordings[key] = recording
        if not self.said:
            self.said = True
            self.say("CUDA graph of the evaluation: on: a recorded batch gives the same bits as one that is launched")
        return expected

    def _again(self, recorder: Recorder, recording: Recording, batch: list[Array]) -> Seen:
        """Launch the recording on a batch."""
        if self.model.training:
            self.model.eval()
        for x, new in zip(recording.inputs, batch, strict=True):
            x[...] = new
        recording.graph.launch(recorder.stream)
        return recording.seen._replace(rates=recording.seen.rates.again())

    def _give_up(self, why: str) -> None:
        self.refused, self.recorder = True, None
        self.recordings.clear()
        self.say(f"CUDA graph of the evaluation: off: {why}")

    def _weights(self) -> list[Array]:
        model = self.model
        return [x.data for named in (model.named_parameters(), model.named_buffers()) for _, x in named]


def _numbers(seen: Seen) -> list[Array]:
    """All that a batch leaves: scores, and the slots with loss, right answers and counts of spikes."""
    assert seen.rates.tally is not None
    return [*(x.data for x in seen.scores.values()), *seen.rates.tally.chunks]
