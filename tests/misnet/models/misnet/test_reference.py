"""The whole network against an independent implementation, number by number: same weights, same inputs."""

import os
from pathlib import Path

import numpy as np
import pytest

from misnet import loss
from snncore import no_grad
from tests.misnet.models.misnet.reference_run import Reference, forward_with_spikes, theirs

LARGE = Path(os.environ.get("SNNCORE_REFERENCE", Path(__file__).parents[5] / "shared/reference/reference_xs.npz"))
HEADS = ("p", "o_a", "o_v")


@pytest.fixture(scope="module", params=["small", "large"])
def reference(request):
    if request.param == "small":
        return Reference.small()
    if not LARGE.exists():
        pytest.skip(f"no reference file at {LARGE}; set SNNCORE_REFERENCE to it")
    return Reference.npz(LARGE)


@pytest.fixture(scope="module", params=[np.float64, np.float32], ids=["float64", "float32"])
def trained(request, reference):
    """One training forward and backward: (model, outputs, loss, spikes, dtype)."""
    model = reference.model(request.param).train()
    outputs, spikes = forward_with_spikes(model, reference.inputs(request.param))
    value = loss(outputs, reference.labels, model.config)
    value.backward()
    return model, outputs, value.item(), spikes, request.param


def relative(found, expected):
    """Largest difference, relative to the largest magnitude expected."""
    return np.abs(found - expected).max() / np.abs(expected).max()


def test_loss_and_scores_of_training(reference, trained):
    _, outputs, value, _, dtype = trained
    bound = 1e-10 if dtype == np.float64 else 1e-4
    assert relative(np.array(value), reference.arrays["f64/train/loss"]) < bound
    for head, scores in zip(HEADS, outputs.values(), strict=True):
        assert scores.dtype == dtype
        assert relative(scores.data, reference.arrays[f"f64/train/{head}"]) < bound


def test_every_gradient(reference, trained):
    model, _, _, _, dtype = trained
    compared = 0
    for name, p in model.named_parameters():
        expected = reference.ours(f"f64/grad/{theirs(name)}", p)
        bound = 1e-8 if dtype == np.float64 else 1e-4
        if dtype == np.float32 and name.endswith(("alpha_a", "alpha_v")):
            bound = 1e-3  # a sum over all pixels that nearly cancels
        assert relative(p.grad, expected) < bound, name
        compared += 1
    assert compared == sum(1 for key in reference.arrays if key.startswith("f64/grad/"))


def test_spikes_of_training_are_equal_bit_for_bit(reference, trained):
    _, _, _, spikes, _ = trained
    assert len(spikes) == sum(1 for key in reference.arrays if key.startswith("train/spikes_packed/"))
    for layer, s in spikes.items():
        assert s.dtype == np.uint8
        np.testing.assert_array_equal(s, reference.spikes("train", layer, s.shape), err_msg=layer)


def test_running_statistics_after_one_training_forward(reference, trained):
    model, _, _, _, dtype = trained
    for name, buffer in model.named_buffers():
        assert relative(buffer.data, reference.arrays[f"f64/buffer_after/{theirs(name)}"]) < (
            1e-10 if dtype == np.float64 else 1e-5
        ), name


def test_evaluation_scores_and_spikes(reference, trained):
    model, _, _, _, dtype = trained
    with no_grad():
        outputs, spikes = forward_with_spikes(model.eval(), reference.inputs(dtype))
    model.train()
    for head, scores in zip(HEADS, outputs.values(), strict=True):
        bound = 1e-10 if dtype == np.float64 else 1e-4
        assert relative(scores.data, reference.arrays[f"f64/eval/{head}"]) < bound
    for layer, s in spikes.items():
        np.testing.assert_array_equal(s, reference.spikes("eval", layer, s.shape), err_msg=layer)


def test_the_comparison_can_fail():
    reference = Reference.small()
    model = reference.model(np.float64).train()
    dict(model.named_parameters())["stages.0.cells.0.mlif.alpha_a"].data += 0.01
    outputs, _ = forward_with_spikes(model, reference.inputs(np.float64))
    assert relative(outputs.p.data, reference.arrays["f64/train/p"]) > 1e-6
