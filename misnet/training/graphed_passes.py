"""Evaluation on a GPU as CUDA graphs: a batch is recorded once, then launched by a single call."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from misnet.models.contract import Model
from misnet.training.graphed import DISTURBED, SHORT, key_of, same_bits
from misnet.training.step import Seen, look
from snncore import Tensor
from snncore.backend import Array
from snncore.capture import CaptureError, Recorder, recorders, release_all, usable
from snncore.context import context
from snncore.nn import Buffer, Module, Parameter

__all__ = ["GraphedPasses"]

PASS = "pass"  # the keys of recordings begin with it
WARM_UP = 1  # batches of a kind before its recording: they compile kernels, and let cuBLAS choose
MOST = 2  # recordings: of a whole batch, and of a smaller one at the end


class Recording(NamedTuple):
    """A recorded batch, the arrays that it reads, and the network that it was recorded with."""

    graph: Any
    seen: Seen
    inputs: list[Array]
    network: "Network"


class Network:
    """The modules, parameters and buffers of a network and their arrays, to see quickly whether they are the same.

    Walking the modules takes 0.8 ms in MISNet-S, an eighth of a recorded batch on an H100; this takes a tenth of it.
    """

    def __init__(self, model: Model) -> None:
        self.attributes = [vars(module) for module in model.modules()]
        self.counts = [len(found) for found in self.attributes]  # one that is added shows here
        kinds = (Module, Parameter, Buffer)
        self.members = [(a, name, x) for a in self.attributes for name, x in a.items() if isinstance(x, kinds)]
        self.arrays = [(x, x.data) for *_, x in self.members if not isinstance(x, Module)]

    def is_same(self) -> bool:
        """Whether the network has the same modules, and these the same arrays."""
        return (
            list(map(len, self.attributes)) == self.counts
            and all(a.get(name) is x for a, name, x in self.members)
            and all(x.data is array for x, array in self.arrays)
        )


class GraphedPasses:
    """Does what `look` does, to the last bit, with a batch recorded as a CUDA graph where that is possible.

    The first batch of a shape runs as ever; the second is recorded, and runs both ways: unless both give the same
    scores, loss, right answers and counts of spikes, to the bit, recordings are given up. The last and smaller batch of
    a set has a recording of its own, made when the set is evaluated for the second time; batches of a third shape run
    as ever. So does everything where a batch cannot be recorded, memory does not suffice, or somebody observes the
    layers, which a graph does not call. Where weights or statistics are other arrays than those that were recorded, the
    batch is recorded anew. All batches take their memory from the pool of the recordings.
    say: called once with a line on what is done, or why not. recorder: one to share, so that its memory is used again;
    nothing else may be launched on it meanwhile. Where memory does not suffice, it is released.
    """

    def __init__(
        self, model: Model, say: Callable[[str], None] = lambda line: None, recorder: Recorder | None = None
    ) -> None:
        self.model, self.say, self.recorder = model, say, recorder
        self.met: dict[Any, int] = {}  # batches of each kind that ran as ever
        self.refused = self.said = False

    def look(self, streams: Sequence[Array], labels: Array, keep: bool = False) -> Seen:
        """As `look`. keep: the scores are copied, to be used after the next batch; else that may overwrite them."""
        if not self.refused and not hasattr(labels, "get"):
            self._give_up("the arrays are not on a GPU")
        if not self.refused and self.recorder is not None and self.recorder.short:
            self._give_up(SHORT)
        if not self.refused and not context.observers:
            recorder = usable(self.recorder)
            if recorder is not self.recorder:
                self.recorder = recorder
                self.met.clear()
            with recorder.working():
                seen = self._look(recorder, [*streams, labels])
                if seen is not None:
                    return _apart(seen) if keep else seen
        return self._plain([*streams, labels])

    def _look(self, recorder: Recorder, batch: list[Array]) -> Seen | None:
        """Run a batch; None: nothing was done, and recording is given up."""
        if recorder.disturbed():
            self._give_up(DISTURBED)
            return None
        key = PASS, key_of(batch)
        recording = recorder.kept.get(key)
        if recording is not None and not recording.network.is_same():
            self.met[key], recording = 0, None
            recorder.forget(key)
        if recording is not None:
            return self._again(recorder, recording, batch)
        self.met[key] = self.met.get(key, 0) + 1
        if self.met[key] > WARM_UP and sum(kind == PASS for kind, *_ in recorder.kept) < MOST:
            return self._first(recorder, key, batch)
        return self._launched(recorder, batch)

    def _plain(self, batch: list[Array]) -> Seen:
        """Run a batch as ever; where memory does not suffice, all recordings are forgotten for it."""
        *streams, labels = batch
        try:
            return look(self.model, streams, labels)
        except MemoryError:
            if not recorders():
                raise
        release_all()
        return look(self.model, streams, labels)

    def _launched(self, recorder: Recorder, batch: list[Array]) -> Seen | None:
        """Run a batch kernel by kernel, in memory of the recordings; None if that does not suffice."""
        from snncore.kernels.cuda.gemm import can_record

        if not can_record():  # before memory is lent, of which a handle of cuBLAS would keep some
            self._give_up("the cuBLAS that CuPy uses was not found, and CuPy's own calls cannot be recorded")
            return None
        *streams, labels = batch
        try:
            with recorder.lent():
                seen = look(self.model, streams, labels)
        except MemoryError:
            seen = None
        if seen is None:
            self._give_up(SHORT)
            return None
        assert seen.rates.tally is not None
        seen.rates.tally.chunks = [x.copy() for x in seen.rates.tally.chunks]
        return _apart(seen)

    def _first(self, recorder: Recorder, key: Any, batch: list[Array]) -> Seen | None:
        """Run a batch as ever, record it, and run it once more."""
        expected = self._launched(recorder, batch)
        if expected is not None and not (why := self._try(recorder, key, batch, expected)):
            if not self.said:
                self.say(
                    "CUDA graph of the evaluation: on: a recorded batch gives the same bits as one that is launched"
                )
            self.said = True
        elif expected is not None:
            self._give_up(why)
        return expected

    def _try(self, recorder: Recorder, key: Any, batch: list[Array], expected: Seen) -> str:
        """Record a batch that has been launched, and run it; returns why that is of no use, or keeps it."""
        try:
            *streams, labels = inputs = [x.copy() for x in batch]
            seen, graph = recorder.record(lambda: look(self.model, streams, labels))
            recording = Recording(graph, seen, inputs, Network(self.model))
            again = self._again(recorder, recording, batch)
        except CaptureError as error:
            return str(error)
        except MemoryError:
            return SHORT
        if not all(same_bits(x, y) for x, y in zip(_numbers(expected), _numbers(again), strict=True)):
            return "a recorded batch does not give the same bits as one that is launched kernel by kernel"
        recorder.kept[key] = recording
        return ""

    def _again(self, recorder: Recorder, recording: Recording, batch: list[Array]) -> Seen:
        """Launch the recording on a batch."""
        if self.model.training:
            self.model.eval()
        for x, new in zip(recording.inputs, batch, strict=True):
            x[...] = new
        recorder.launch(recording.graph)
        return recording.seen._replace(rates=recording.seen.rates.again())

    def _give_up(self, why: str) -> None:
        recorder, self.refused, self.recorder = self.recorder, True, None
        if recorder is not None:
            recorder.leave(PASS, short=why == SHORT)
        self.say(f"CUDA graph of the evaluation: off: {why}")


def _apart(seen: Seen) -> Seen:
    """The same with scores that no later batch overwrites."""
    return seen._replace(scores={head: Tensor(x.data.copy()) for head, x in seen.scores.items()})


def _numbers(seen: Seen) -> list[Array]:
    """All that a batch leaves: scores, and the slots with loss, right answers and counts of spikes."""
    assert seen.rates.tally is not None
    return [*(x.data for x in seen.scores.values()), *seen.rates.tally.chunks]
