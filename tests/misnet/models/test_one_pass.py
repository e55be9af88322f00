"""Whole networks in evaluation: with layers in one pass, the scores have the bits of the layers one by one."""

import numpy as np
import pytest

from misnet.training.step import predict
from snncore import arithmetic, nn, no_grad
from snncore.functions.conv_batch_norm_lif import ConvBatchNormLIF
from snncore.kernels.choice import use_kernels
from tests.misnet.test_exact_networks import network

PASSES = {"misnet": 10, "sew-resnet18": 10, "spikformer": 8}  # layers whose input is spikes


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("sums", ["float32", "exact"])
def test_scores_are_those_of_the_layers_one_by_one(name, sums, monkeypatch):
    model, streams = network(name)
    made, forward = [], ConvBatchNormLIF.forward
    monkeypatch.setattr(ConvBatchNormLIF, "forward", lambda self, *x: made.append(x[0].dtype) or forward(self, *x))
    with no_grad(), arithmetic(sums), use_kernels("event"):
        with nn.unfused():
            right = predict(model, *streams)
        assert not made
        found = predict(model, *streams)
    assert len(made) == PASSES[name]
    assert set(made) == {np.dtype(np.uint8)}
    assert found.keys() == right.keys()
    for head, scores in found.items():
        np.testing.assert_array_equal(scores.data, right[head].data)
        assert len(np.unique(scores.data)) > 3
