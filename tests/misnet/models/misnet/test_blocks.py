"""ConvBNLIF, SEWBlock, InteractCell and Stage: shapes, types of spikes, and which weights act where."""

import re

import numpy as np
import pytest

from misnet.models.misnet.blocks import ConvBNLIF, InteractCell, SEWBlock, Stage
from misnet.models.misnet.fusion import FusedMLIF, SingleLIF
from misnet.models.misnet.head import FusionHead
from misnet.models.misnet.mlif import FusedSpikes, SecondThreshold
from snncore import Tensor
from snncore import functions as F
from tests.misnet.tiny import random_spikes, shaken, tiny_config

T, N, SIZE, C = 3, 2, 6, 4
SHAPE = (T, N, SIZE, SIZE, C)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def spikes(rng):
    return Tensor(random_spikes(rng, *SHAPE))


def make_cell(rng, **switches):
    return shaken(InteractCell(C, SIZE, tiny_config(**switches), rng))


def replay(cell, s_a, s_v, w_a=None, w_v=None):
    """The MLIF of a cell on what its SEW blocks give, put together by hand."""
    o = [cell.sew[m](s) for m, s in zip("av", (s_a, s_v), strict=True)]
    currents = [x.data if w is None else x.data * w for x, w in zip(o, (w_a, w_v), strict=True)]
    return cell.mlif(*(Tensor(np.asarray(c, np.float32)) for c in currents))


def test_conv_bn_lif_turns_analog_input_into_binary_spikes(rng):
    block = ConvBNLIF(3, C, tiny_config(), rng)
    s = block(Tensor(rng.standard_normal((T, N, SIZE, SIZE, 3)).astype(np.float32)))
    assert (s.shape, s.dtype) == (SHAPE, np.uint8)
    assert set(np.unique(s.data)) == {0, 1}


def test_conv_bn_lif_is_its_three_parts_in_order(rng):
    block = shaken(ConvBNLIF(C, C, tiny_config(), rng)).eval()
    x = spikes(rng)
    expected = block.neuron(block.bn(block.conv(x)))
    np.testing.assert_array_equal(block(x).data, expected.data)
    assert block.conv.bias is None


@pytest.mark.parametrize(
    ("connect", "join"),
    [("add", lambda a, s: a + s), ("and", lambda a, s: a & s), ("iand", lambda a, s: (1 - a) & s)],
)
def test_sew_block_joins_its_branch_with_its_input(rng, connect, join):
    block = shaken(SEWBlock(C, tiny_config(connect=connect), rng)).eval()
    s = spikes(rng)
    branch = block.c2(block.c1(s))
    o = block(s)
    np.testing.assert_array_equal(o.data, join(branch.data, s.data))
    assert o.dtype == np.uint8
    assert set(np.unique(o.data)) == ({0, 1, 2} if connect == "add" else {0, 1})


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"sew": "shared"},
        {"sew": "off"},
        {"mlif_fusion": "mlp"},
        {"mlif_fusion": "attention"},
        {"mlif": "fused-charge", "mlif_fusion": "mlp"},
        {"mlif": "independent"},
        {"mlif": "independent", "mlif_fusion": "mlp"},
        {"mlif": "independent", "mlif_fusion": "attention"},
        {"mlif": "second-threshold", "learn_alpha": False},
        {"mlif": "off", "connect": "iand"},
    ],
    ids=str,
)
def test_a_cell_keeps_the_shape_and_gives_binary_spikes(rng, switches):
    cell = make_cell(rng, mlif_v_threshold=0.05, **switches)
    for s in cell(spikes(rng), spikes(rng)):
        assert (s.shape, s.dtype) == (SHAPE, np.uint8)
        assert set(np.unique(s.data)) == {0, 1}


def test_without_sew_the_spikes_go_straight_to_the_mlif(rng):
    cell = make_cell(rng, sew="off", spatial_weight="none")
    s_a, s_v = spikes(rng), spikes(rng)
    for found, expected in zip(cell(s_a, s_v), cell.mlif(s_a, s_v), strict=True):
        np.testing.assert_array_equal(found.data, expected.data)
    assert cell.sew is None


@pytest.mark.parametrize(("kind", "shape"), [("pixel", (SIZE, SIZE, 1)), ("channel", (C,)), ("none", None)])
def test_w_multiplies_the_currents_elementwise(rng, kind, shape):
    cell = make_cell(rng, spatial_weight=kind).eval()
    s_a, s_v = spikes(rng), spikes(rng)
    if shape is None:
        assert cell.w_a is None
        assert cell.w_v is None
        expected = replay(cell, s_a, s_v)
    else:
        assert cell.w_a.shape == cell.w_v.shape == shape
        cell.w_a.data[...], cell.w_v.data[...] = rng.uniform(0.5, 2, (2, *shape))
        expected = replay(cell, s_a, s_v, cell.w_a.data, cell.w_v.data)
    found = cell(s_a, s_v)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_array_equal(x.data, y.data)
    if shape is not None:
        assert (found[0].data != replay(cell, s_a, s_v)[0].data).any()


def test_w_starts_at_one(rng):
    cell = InteractCell(C, SIZE, tiny_config(), rng)
    np.testing.assert_array_equal(cell.w_a.data, np.ones((SIZE, SIZE, 1)))
    np.testing.assert_array_equal(cell.w_v.data, np.ones((SIZE, SIZE, 1)))


def test_cell_residual_adds_the_spikes_that_entered(rng):
    with_residual = make_cell(np.random.default_rng(1), cell_residual=True).eval()
    without = make_cell(np.random.default_rng(1)).eval()
    s = spikes(rng), spikes(rng)
    for m, found, plain in zip(s, with_residual(*s), without(*s), strict=True):
        np.testing.assert_array_equal(found.data, plain.data + m.data)
        assert found.dtype == np.uint8


def sum_of(*outputs):
    """A float tensor that depends on all spikes."""
    total = F.Cast(np.float32)(outputs[0]).sum()
    for s in outputs[1:]:
        total = total + F.Cast(np.float32)(s).sum()
    return total


def test_a_shared_sew_block_has_one_set_of_weights_and_both_gradients(rng):
    cell = make_cell(rng, sew="shared").eval()  # running statistics: the modalities do not meet in a batch norm
    s_a, s_v = spikes(rng), spikes(rng)
    assert sum(1 for name, _ in cell.named_parameters() if name.endswith("c1.conv.weight")) == 1

    def gradient(which):
        cell.zero_grad()
        out = cell(s_a, s_v)
        sum_of(*(out[i] for i in which)).backward()
        return cell.sew.c1.conv.weight.grad.copy()

    both, a, v = gradient((0, 1)), gradient((0,)), gradient((1,))
    assert np.abs(a).max() > 1e-3
    assert np.abs(v).max() > 1e-3
    np.testing.assert_allclose(both, a + v, rtol=1e-4, atol=1e-5 * np.abs(both).max())


def test_modules_that_are_built_and_never_called_get_no_gradient(rng):
    cell = make_cell(rng, unused_modules=True)
    sum_of(*cell(spikes(rng), spikes(rng))).backward()
    unused = {name for name, p in cell.named_parameters() if "unused" in name}
    assert len(unused) == 2 * 3 + 2 * 3  # a SEW block: two times conv and BN; a conv and BN per modality
    assert {name for name, p in cell.named_parameters() if p.grad is None} == unused


@pytest.mark.parametrize("size", [6, 7])
@pytest.mark.parametrize(("pooling", "dtype"), [("max", np.uint8), ("avg", np.float32)])
def test_a_stage_halves_the_size_and_max_pooling_keeps_spikes(rng, size, pooling, dtype):
    config = tiny_config(pooling=pooling, mlif_v_threshold=0.4)
    stage = Stage({"a": 1, "v": 2}, C, 1, size, config, rng).eval()
    x = [Tensor(rng.standard_normal((T, N, size, size, n)).astype(np.float32)) for n in (1, 2)]
    cells = stage.cells[0](stage.unimodal["a"](x[0]), stage.unimodal["v"](x[1]))
    for y, s in zip(stage(*x), cells, strict=True):
        assert (y.shape, y.dtype) == ((T, N, 3, 3, C), dtype)
        windows = s.data[:, :, :6, :6].reshape(T, N, 3, 2, 3, 2, C)
        expected = windows.max((3, 5)) if pooling == "max" else windows.mean((3, 5))
        np.testing.assert_array_equal(y.data, expected)
        assert s.data.any()


def test_a_stage_may_have_no_cell(rng):
    stage = Stage({"a": 1, "v": 2}, C, 0, SIZE, tiny_config(), rng)
    x = [Tensor(rng.standard_normal((T, N, SIZE, SIZE, n)).astype(np.float32)) for n in (1, 2)]
    assert [y.shape for y in stage(*x)] == [(T, N, 3, 3, C)] * 2
    assert not any("cells" in name for name, _ in stage.named_parameters())


@pytest.mark.parametrize(
    ("mlif", "fusion"),
    [
        *((mlif, f) for mlif in ("full", "fused-charge") for f in ("concat", "mlp", "attention")),
        *(("independent", f) for f in ("concat", "mlp", "attention")),
        ("second-threshold", "concat"),
        ("off", "concat"),
    ],
)
def test_a_cell_cuts_and_broadcasts_nothing(rng, mlif, fusion):
    cell = make_cell(rng, mlif=mlif, mlif_fusion=fusion)
    s_a, s_v = spikes(rng), spikes(rng)
    for short in (s_v[:1], s_v[:2], s_v[:, :1]):
        message = re.escape(f"expected audio and visual of one shape, found {SHAPE} and {short.shape}")
        with pytest.raises(ValueError, match=f"InteractCell: {message}"):
            cell(s_a, short)
        if isinstance(cell.mlif, FusedMLIF | SingleLIF | FusedSpikes | SecondThreshold):
            with pytest.raises(ValueError, match=f"{type(cell.mlif).__name__}: {message}"):
                cell.mlif(s_a, short, None, None)


@pytest.mark.parametrize("fusion", ["concat", "sum", "hadamard", "mlp", "attention"])
def test_a_head_broadcasts_nothing(rng, fusion):
    head = FusionHead(C, tiny_config(head=fusion), rng)
    g_a, g_v = (Tensor(np.ones((t, N, C), np.float32)) for t in (1, T))
    with pytest.raises(ValueError, match=r"FusionHead: expected audio and visual of one shape, found \(1, 2, 4\) and"):
        head(g_a, g_v)
