"""Whole networks, exactly summed: the same bits by all kernels, with any threads, in evaluation alone or in a batch.

`data/exact_checksums.json` holds what came out on the machine that wrote it, so that another can compare: run this file
there. `python -m tests.misnet.test_exact_networks` writes it anew.
"""

import hashlib
import json
from pathlib import Path

import numba
import numpy as np
import pytest

from misnet.models.registry import MODELS, build
from misnet.training.step import predict
from snncore import Tensor, arithmetic, count_ops, no_grad, observe
from snncore.kernels.choice import use_kernels
from snncore.nn import BatchNorm
from snncore.rng import training_step
from tests.misnet.models.checks import batch_of
from tests.misnet.models.test_every_model import small
from tests.misnet.tiny import shaken, tiny_config

CHECKSUMS = Path(__file__).parent / "data" / "exact_checksums.json"
FIXED = ("misnet", "sew-resnet18", "spikformer")  # their spikes are stored
SAMPLES = 4


def network(name, samples=SAMPLES):
    """A small network whose normalisations let spikes through, from numbers that every machine draws alike."""
    wide = {"channels": (20, 66)}  # more channels than a block of weights, and not a multiple of a register
    model = shaken(build(name, tiny_config(**wide) if name == "misnet" else small(name)))
    rng = np.random.default_rng(3)
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.running_mean.data[...] = rng.uniform(-0.1, 0.1, module.running_mean.data.shape)
            module.running_var.data[...] = rng.uniform(0.1, 0.3, module.running_var.data.shape)
            module.weight.data[...] = 1
            module.bias.data[...] = rng.uniform(0, 1, module.bias.data.shape)
    streams = [rng.uniform(-1, 1, x.shape).astype(np.float32) for x in batch_of(model.config, samples)[0]]
    return model.eval(), streams


def outputs_of(model, streams, kernels, parts=1, choice="exact"):
    """The outputs of every operation in order, of the samples in so many parts of a batch, put together again."""
    runs = []
    with no_grad(), use_kernels(kernels), arithmetic(choice):
        for part in np.array_split(np.arange(SAMPLES), parts):
            outputs = []
            with observe(lambda f, inputs, made, outputs=outputs: outputs.extend(map(np.asarray, made))):
                predict(model, *(x[:, part] for x in streams))
            runs.append(outputs)
    return runs


def assert_same(whole, parts):
    """Fail unless the outputs of one run are those of several, joined along the axis in which they differ."""
    for i, x in enumerate(whole):
        pieces = [run[i] for run in parts]
        axes = [axis for axis in range(x.ndim) if pieces[0].shape[axis] != x.shape[axis]]
        joined = np.concatenate(pieces, axes[0]) if axes else pieces[0]
        assert joined.tobytes() == x.tobytes(), f"operation {i}"


@pytest.mark.parametrize("name", MODELS)
def test_kernels_threads_and_batch_change_no_bit(name):
    model, streams = network(name)
    (right,) = outputs_of(model, streams, "reference")
    most, before = numba.config.NUMBA_NUM_THREADS, numba.get_num_threads()
    try:
        for kernels, parts, threads in (("event", SAMPLES, min(2, most)), ("dense", 2, 1), ("reference", SAMPLES, 1)):
            numba.set_num_threads(threads)
            assert_same(right, outputs_of(model, streams, kernels, parts))
    finally:
        numba.set_num_threads(before)


def trained_forward(name, kernels):
    """What every operation gave in one forward pass of training, and the statistics that it left."""
    model, streams = network(name)
    made = []
    watch = observe(lambda f, inputs, outputs: made.extend(map(np.asarray, outputs)))
    with training_step(5, 0), use_kernels(kernels), arithmetic("exact"), watch:  # dropout draws by that step
        model.train()(*map(Tensor, streams))
    return [*made, *(buffer.data for _, buffer in model.named_buffers())]


@pytest.mark.parametrize("name", MODELS)
def test_the_forward_pass_of_training_has_the_same_bits_by_all_kernels(name):
    right, *others = (trained_forward(name, kernels) for kernels in ("reference", "event", "dense"))
    for found in others:
        assert len(found) == len(right)
        assert [i for i, (x, y) in enumerate(zip(right, found, strict=True)) if x.tobytes() != y.tobytes()] == []


def test_statistics_that_have_an_order_differ_between_kernels(monkeypatch):
    monkeypatch.setattr("snncore.functions.batch_norm.BatchNorm.has_no_order", lambda self, x: False)
    runs = zip(trained_forward("misnet", "reference"), trained_forward("misnet", "event"), strict=True)
    assert any(x.tobytes() != y.tobytes() for x, y in runs)


def test_float32_sums_differ_between_kernels():
    model, streams = network("misnet")
    (right,) = outputs_of(model, streams, "reference", choice="float32")
    with pytest.raises(AssertionError, match="operation"):
        assert_same(right, outputs_of(model, streams, "event", choice="float32"))


def counted(model, streams, kernels):
    """The counts of a batch."""
    steps, samples = streams[0].shape[:2]
    with no_grad(), use_kernels(kernels), arithmetic("exact"), count_ops(samples=samples, timesteps=steps) as ops:
        model(*map(Tensor, streams))
    return ops


@pytest.mark.parametrize("name", MODELS)
def test_counts_are_the_same_integers(name):
    model, streams = network(name)
    right, *others = (counted(model, streams, kernels).totals() for kernels in ("reference", "event", "dense"))
    assert all(found == right for found in others)


def test_each_of_64_samples_is_what_it_is_alone():
    model, streams = network("misnet", 64)
    ops = counted(model, streams, "auto")
    columns = [column for column in ops.totals() if column != "weight_bytes_once"]  # read once for all samples
    by_sample = {column: ops.by_sample(column) for column in columns}
    with arithmetic("exact"):
        whole = predict(model, *streams)
    for i in (0, 17, 31, 63):
        alone = [x[:, i : i + 1] for x in streams]
        with arithmetic("exact"):
            scores = predict(model, *alone)
        assert all(scores[head].data.tobytes() == x.data[i : i + 1].tobytes() for head, x in whole.items())
        counts = counted(model, alone, "auto").totals()
        assert counts["ac_binary"] > 0
        assert {column: n[i] for column, n in by_sample.items()} == {column: counts[column] for column in columns}


def checksums(name, kernels):
    """sha256 of the spikes of each operation, and of the scores."""
    model, streams = network(name)
    (outputs,) = outputs_of(model, streams, kernels)
    return digests(outputs)


def digests(outputs):
    spikes = [x for x in outputs if x.dtype == np.uint8]
    assert all(0 < np.count_nonzero(x) < x.size for x in spikes)
    return [hashlib.sha256(x.tobytes()).hexdigest()[:16] for x in (*spikes, outputs[-1])]


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("kernels", ["reference", "auto"])
def test_spikes_are_those_that_another_machine_found(name, kernels):
    assert checksums(name, kernels) == json.loads(CHECKSUMS.read_text())[name]


if __name__ == "__main__":
    CHECKSUMS.write_text(json.dumps({name: checksums(name, "reference") for name in FIXED}, indent=1) + "\n")
