"""Whole networks in evaluation on the double of a GPU, exactly summed: spikes, scores and counts are the CPU's bits."""

import json
from functools import cache

import numpy as np
import pytest

from misnet import MISNet
from misnet.training.step import Totals, predict, train_step
from snncore import Tensor, arithmetic, count_ops, no_grad, observe, to_device
from snncore.backend import asnumpy
from snncore.kernels.choice import use_kernels
from snncore.optim import SGD
from tests.misnet.test_exact_networks import CHECKSUMS, FIXED, SAMPLES, assert_same, digests, network, outputs_of
from tests.misnet.tiny import make_batch, tiny_config
from tests.support import double
from tests.support.double import ledger
from tests.support.shim.build import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")


@cache
def on_cpu(name):
    return outputs_of(*network(name), "reference")[0]


def on_gpu(name, kernels="auto", choice="exact"):
    """The outputs of every operation in order, on the host; the arrays stay on the device meanwhile."""
    model, streams = network(name)
    outputs = []
    with double.installed(), no_grad(), use_kernels(kernels), arithmetic(choice):
        model.to("cuda")
        with observe(lambda f, inputs, made: outputs.extend(made)):
            predict(model, *(to_device(x, "cuda") for x in streams))
        return [asnumpy(x) for x in outputs]


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("kernels", ["auto", "event"])
def test_every_operation_gives_the_bits_of_the_cpu(name, kernels):
    made = on_gpu(name, kernels)
    assert_same(on_cpu(name), [made])
    assert digests(made) == json.loads(CHECKSUMS.read_text())[name]


def test_float32_sums_are_others():
    with pytest.raises(AssertionError, match="operation"):
        assert_same(on_cpu("misnet"), [on_gpu("misnet", choice="float32")])


def counts(device):
    model, streams = network("misnet")
    with no_grad(), arithmetic("exact"), count_ops(samples=SAMPLES, timesteps=3) as ops:
        model.to(device)(*(Tensor(to_device(x, device)) for x in streams))
    return ops.totals()


def test_counts_are_the_same_integers():
    with use_kernels("reference"):
        expected = counts("cpu")
    with double.installed(), use_kernels("event"):  # quicker than tensor cores are on the CPU
        assert counts("cuda") == expected


def test_a_training_step_in_exact_arithmetic_waits_once():
    config = tiny_config(channels=(3, 16))  # to tensor cores and not
    with double.installed(), arithmetic("exact"):
        model = MISNet(config).to("cuda").train()
        optimizer = SGD(model.named_parameters(), 0.1)
        for step in range(2):
            batch = tuple(to_device(x, "cuda") for x in make_batch(config, 1, seed=step))
            before = ledger.events.copy()
            loss = train_step(model, optimizer, 0.1, batch, Totals(), step)
            done = ledger.events - before
            assert np.isfinite(loss)
            assert done.pop("launch") > 20
            assert done == {"d2h": 1}
