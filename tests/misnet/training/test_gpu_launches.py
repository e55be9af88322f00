"""How much a training step tells a GPU to do: each launch costs the host about ten microseconds."""

import pytest

from misnet import MISNet
from misnet.training.step import Totals, train_step
from snncore.optim import Adam
from tests.misnet.tiny import make_batch, tiny_config
from tests.misnet.training.gpu_step import on_device
from tests.support import double
from tests.support.double import ledger
from tests.support.shim.build import compiler

LAYERS = {"channels": (4, 4, 4), "cells": (2, 2, 2), "timesteps": 4}  # of MISNet-S, with fewer channels


@pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")
@pytest.mark.parametrize(
    ("arithmetic", "tensor_cores", "most", "operations_of_cupy", "products"),
    [("float32", "off", 341, 215, 97), ("float32", "on", 425, 131, 41), ("exact", "on", 491, 134, 8)],
)
def test_a_step_of_misnet_s_launches_no_more_than_it_did(
    monkeypatch, arithmetic, tensor_cores, most, operations_of_cupy, products
):
    """most: launches of kernels of ours; products: of matrices, by CuPy."""
    monkeypatch.setenv("SNNCORE_ARITHMETIC", arithmetic)
    monkeypatch.setenv("SNNCORE_TENSOR_CORES", tensor_cores)
    config = tiny_config(**LAYERS)
    with double.installed():
        model = MISNet(config, seed=1).to("cuda")
        optimizer, batch = Adam(model.named_parameters(), 1e-2), on_device(make_batch(config, 1), "cuda")
        for step in range(2):
            launches, operations = ledger.events["launch"], ledger.operations.copy()
            train_step(model, optimizer, 1e-2, batch, Totals(), step)
        launches, operations = ledger.events["launch"] - launches, ledger.operations - operations
    assert 250 < launches <= most
    assert operations["matmul"] == products
    assert operations.total() <= operations_of_cupy
    assert operations["assign"] < 20  # gradients are written where they stay: there are 122 parameters
