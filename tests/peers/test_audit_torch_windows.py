"""Convolutions, pooling and interpolation of PyTorch, counted here and by autograd or loops that know no formula."""

import itertools
import math

import pytest

torch = pytest.importorskip("torch", reason="the extra peers is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional as TF  # noqa: E402

from snncore import audit_torch  # noqa: E402
from snncore.energy import apply_rule  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

CONVOLUTIONS = {
    "1d": (nn.Conv1d(4, 6, 3, 2, 1), (9,)),
    "1d grouped": (nn.Conv1d(4, 8, 3, 1, 2, dilation=2, groups=4), (9,)),
    "2d": (nn.Conv2d(4, 6, (3, 2), (2, 1), 1, dilation=(1, 2)), (6, 7)),
    "3d": (nn.Conv3d(4, 6, 3, 1, 1), (3, 5, 4)),
    "3d uneven": (nn.Conv3d(4, 8, (2, 3, 1), (1, 2, 3), (1, 2, 0), dilation=(2, 1, 1), bias=False), (4, 6, 7)),
    "3d depthwise": (nn.Conv3d(4, 8, (1, 3, 3), groups=4, padding=(0, 1, 1)), (2, 5, 5)),
    "transposed 1d": (nn.ConvTranspose1d(4, 6, 4, 3, 1, 2), (5,)),
    "transposed 2d": (nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), (4, 5)),
    "transposed 3d": (nn.ConvTranspose3d(4, 8, (3, 2, 3), (2, 1, 2), (1, 0, 2), groups=4), (3, 4, 5)),
}


def reached(layer, weight, x):
    """How much each entry of x adds to all outputs under weights `weight`: autograd's derivative of their sum."""
    x = x.double().requires_grad_()
    settings = {"stride": layer.stride, "padding": layer.padding, "groups": layer.groups, "dilation": layer.dilation}
    name = type(layer).__name__.lower().replace("convtranspose", "conv_transpose")
    if "transpose" in name:
        settings["output_padding"] = layer.output_padding
    getattr(TF, name)(x, weight.double(), **settings).sum().backward()
    return x.grad.round().long()


def prune(layer):
    with torch.no_grad():
        layer.weight.mul_(torch.rand(layer.weight.shape, generator=torch.Generator().manual_seed(1)) > 0.4)


def inputs(shape, seed=0):
    return torch.randint(0, 3, (3, 4, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_of_events_and_of_analog_values(name):
    layer, shape = CONVOLUTIONS[name]
    prune(layer)
    x = inputs(shape)
    taps = reached(layer, torch.ones_like(layer.weight), x)
    zeros = reached(layer, (layer.weight == 0).float(), x)
    y = layer(x.float())
    found = audit_torch(layer, x)
    totals = found.totals()
    assert totals["ac_binary"] == int(taps[x == 1].sum()) > 0
    assert totals["ac_graded"] == int(taps[x == 2].sum())
    assert totals["dense_mac"] == int(taps.sum())
    assert totals["ac_zero_weight"] == int(zeros[x > 0].sum()) > 0
    assert totals["bias_add"] == (0 if layer.bias is None else y.numel())
    assert found.by_sample("ac_binary") == [int(taps[n][x[n] == 1].sum()) for n in range(3)]
    pixels = (x if "transposed" in name else y).numel() // (x if "transposed" in name else y).shape[1]
    assert totals["dense_mac_padded"] == pixels * layer.weight.numel()
    assert found.notes == []
    analog = audit_torch(layer, x.float() - 0.5, events=False).totals()
    assert (analog["mac"], analog["mac_zero"]) == (int(taps.sum()), 0)
    assert analog["mac_zero_weight"] == int(zeros.sum())
    (facts,) = [facts for _, facts in found.facts()]
    assert math.prod(facts.kernel) == math.prod(layer.kernel_size)
    assert facts.effective == totals["ac_binary"] + totals["ac_graded"] - totals["ac_zero_weight"]


@pytest.mark.parametrize("name", ["1d", "2d", "3d", "3d uneven", "3d depthwise"])
@pytest.mark.parametrize("top", [1, 2])
def test_a_convolution_by_the_rule_of_neurobench(name, top):
    layers = pytest.importorskip("neurobench.metrics.utils.layers", reason="the extra peers is not installed")
    layer, shape = CONVOLUTIONS[name]
    x = inputs(shape).clamp(max=top)
    count, spiking = layers.single_layer_MACs(x.float(), layer)
    ours = apply_rule("neurobench", audit_torch(layer, x))
    assert (ours.mac, ours.ac) == ((0, count) if spiking else (count, 0))
    assert ours.extra["dense"] == layers.single_layer_MACs(x.float(), layer, total=True)[0]


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("top", [1, 2])
def test_a_convolution_by_the_rule_of_spikingjelly(name, top):
    counters = pytest.importorskip(
        "spikingjelly.activation_based.op_counter", reason="the extra peers is not installed"
    )
    layer, shape = CONVOLUTIONS[name]
    x = inputs(shape).clamp(max=top)
    three = [counters.MACCounter(), counters.ACCounter(), counters.SynOpCounter()]
    with torch.no_grad(), counters.DispatchCounterMode(three):
        layer(x.float())
    ours = apply_rule("spikingjelly", audit_torch(layer, x))
    assert [counter.get_total() for counter in three] == [ours.mac, ours.ac, ours.extra["synops"]]


def test_lemaire_reads_three_axes_of_a_window():
    layer = nn.Conv3d(2, 4, (3, 3, 2), (2, 1, 2), bias=False)
    x = inputs((3, 4, 4))[:, :2]
    events, ours = int((x > 0).sum()), apply_rule("lemaire", audit_torch(layer, x))
    operations = events * 4 * (2 * 3 * 1)  # ceil(3 / 2) * 3 * ceil(2 / 2)
    assert ours.ac == operations


POOLING = {
    "max 2d": (nn.MaxPool2d(3, 2, 1), (7, 6)),
    "max ceil": (nn.MaxPool2d(3, 2, ceil_mode=True), (6, 8)),
    "max dilated": (nn.MaxPool2d(2, 1, dilation=(2, 3)), (6, 7)),
    "max 3d": (nn.MaxPool3d((2, 3, 2), (2, 1, 2), (1, 1, 0), ceil_mode=True), (3, 5, 5)),
    "average padded": (nn.AvgPool2d(3, 1, 1), (5, 4)),
    "average padded, of what is inside": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), (5, 4)),
    "average ceil": (nn.AvgPool2d(2, ceil_mode=True), (5, 5)),
    "average 1d": (nn.AvgPool1d(3, 2, 1), (8,)),
    "average 3d": (nn.AvgPool3d((1, 2, 3), padding=(0, 1, 1)), (3, 4, 5)),
    "adaptive": (nn.AdaptiveAvgPool2d((3, 2)), (7, 5)),
    "adaptive 1d": (nn.AdaptiveAvgPool1d(3), (7,)),
    "adaptive 3d": (nn.AdaptiveAvgPool3d((2, 2, 3)), (3, 4, 5)),
    "adaptive to one": (nn.AdaptiveAvgPool3d(1), (3, 4, 5)),
    "adaptive max": (nn.AdaptiveMaxPool2d((2, 3)), (5, 4)),
    "adaptive max 3d": (nn.AdaptiveMaxPool3d(2), (3, 4, 5)),
}


def members(layer, shape, out):
    """The pixels of each window, by the words of PyTorch's documentation: a list for each output."""
    axes = len(shape)
    if "Adaptive" in type(layer).__name__:
        spans = [
            [range(math.floor(i * n / m), math.ceil((i + 1) * n / m)) for i in range(m)]
            for n, m in zip(shape, out, strict=True)
        ]
    else:
        each = [
            [v] * axes if isinstance(v, int) else list(v) * (axes if len(v) == 1 else 1)
            for v in (layer.kernel_size, layer.stride, layer.padding, getattr(layer, "dilation", 1))
        ]
        spans = [
            [[i * s - p + k * d for k in range(size) if 0 <= i * s - p + k * d < n] for i in range(m)]
            for n, m, size, s, p, d in zip(shape, out, *each, strict=True)
        ]
    return [list(itertools.product(*window)) for window in itertools.product(*spans)]


@pytest.mark.parametrize("name", POOLING)
def test_pooling_against_a_list_of_every_window(name):
    layer, shape = POOLING[name]
    x = inputs(shape)
    y = layer(x.float())
    windows = members(layer, shape, y.shape[2:])
    assert len(windows) == math.prod(y.shape[2:])
    combined = x.shape[0] * x.shape[1] * sum(len(window) - 1 for window in windows)
    events = sum(int((x[(slice(None), slice(None), *pixel)] > 0).sum()) for window in windows for pixel in window)
    found = audit_torch(layer, x)
    totals, analog = found.totals(), audit_torch(layer, x.float() + 0.25, events=False).totals()
    if "max" in name:
        assert totals["pool_compare"] == analog["pool_compare"] == combined
        assert audit_torch(nn.Sequential(layer, nn.Linear(y.shape[-1], 2)), x).totals()["mac"] == 0  # still spikes
    else:
        assert (totals["pool_add"], totals["pool_mul"]) == (events, y.numel())
        assert (analog["pool_add"], analog["pool_mul"]) == (combined, y.numel())
    assert found.notes == []


def test_average_pooling_by_the_rule_of_spikingjelly():
    counters = pytest.importorskip(
        "spikingjelly.activation_based.op_counter", reason="the extra peers is not installed"
    )
    for layer, shape in (POOLING["average padded"], POOLING["average ceil"]):
        x, counter = inputs(shape), counters.ACCounter()
        with torch.no_grad(), counters.DispatchCounterMode([counter]):
            layer(x.float())
        assert counter.get_total() == apply_rule("spikingjelly", audit_torch(layer, x)).ac > 0


INTERPOLATIONS = {
    "linear": ((5,), {"scale_factor": 2, "mode": "linear"}),
    "bilinear": ((4, 3), {"scale_factor": 2, "mode": "bilinear"}),
    "bilinear, corners aligned": ((4, 3), {"size": (7, 5), "mode": "bilinear", "align_corners": True}),
    "bilinear, uneven": ((4, 5), {"scale_factor": (1.5, 2.6), "mode": "bilinear"}),
    "bilinear, smaller": ((7, 6), {"size": (3, 2), "mode": "bilinear"}),
    "trilinear": ((2, 3, 2), {"scale_factor": (2, 1, 3), "mode": "trilinear"}),
    "bicubic": ((4, 5), {"scale_factor": 2, "mode": "bicubic"}),
}


class Upsampling(nn.Module):
    def __init__(self, settings):
        super().__init__()
        self.settings = settings

    def forward(self, x):
        return TF.interpolate(x, **self.settings)


@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_interpolation_against_the_matrix_that_autograd_finds(name):
    shape, settings = INTERPOLATIONS[name]
    net, x = Upsampling(settings), inputs(shape)
    size = math.prod(shape)
    w = torch.autograd.functional.jacobian(net, torch.zeros(1, 1, *shape, dtype=torch.float64)).reshape(-1, size)
    tap, unit = (w.abs() > 1e-9).long(), ((w - 1).abs() < 1e-9).long()
    planes = x.reshape(-1, size)
    totals = audit_torch(net, x).totals()
    assert totals["elem_add"] == int((tap.sum(0) * (planes > 0)).sum())
    assert totals["elem_mul"] == int(((tap - unit).sum(0) * (planes > 1)).sum())
    analog = audit_torch(net, x.float() + 0.25, events=False)
    assert analog.totals()["elem_mul"] == len(planes) * int((tap - unit).sum())
    assert analog.totals()["elem_add"] == len(planes) * int((tap.sum(1) - 1).sum())
    assert analog.notes == []
    assert "their kind is unknown" in str(apply_rule("spikingjelly", analog).notes)  # no rule of others knows it


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_a_nearest_pixel_costs_nothing_and_stays_a_spike(mode):
    x = inputs((4, 5))
    conv = nn.Conv2d(4, 2, 1, bias=False)
    totals = audit_torch(nn.Sequential(Upsampling({"scale_factor": 2, "mode": mode}), conv), x).totals()
    assert totals["ac_binary"] == 2 * 4 * int((x == 1).sum())
    assert (totals["mac"], totals["elem_add"], totals["elem_mul"]) == (0, 0, 0)


def test_a_decoder_that_adds_what_the_encoder_fired():
    """A U-Net in small: pooled, convolved, upsampled, joined with what was there before."""

    class UNet(nn.Module):
        def __init__(self, mode):
            super().__init__()
            self.mode = mode
            self.down, self.out = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(5, 1, 3, padding=1)

        def forward(self, x):
            s = (x > 0.5).float()
            low = (self.down(TF.max_pool2d(s, 2)) > 0).float()
            return self.out(torch.cat([s, TF.interpolate(low, scale_factor=2, mode=self.mode)], 1))

    x = torch.rand(2, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    net = UNet("nearest")
    s = (x > 0.5).float()
    low = (net.down(TF.max_pool2d(s, 2)) > 0).float()
    joined = torch.cat([s, low.repeat_interleave(2, 2).repeat_interleave(2, 3)], 1)
    found = audit_torch(net, x)
    assert found.totals("out")["ac_binary"] == int(
        reached(net.out, torch.ones_like(net.out.weight), joined)[joined > 0].sum()
    )
    net.mode = "bilinear"
    mixed = audit_torch(net, x)  # spikes beside means of spikes: analog all
    assert (mixed.totals("out")["ac_binary"], mixed.totals("out")["mac"]) == (0, mixed.totals("out")["dense_mac"])
    assert mixed.totals("UNet")["elem_add"] == taps_of(low)


def taps_of(low):
    w = torch.autograd.functional.jacobian(
        lambda v: TF.interpolate(v, scale_factor=2, mode="bilinear"), torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    ).reshape(36, 9)
    return int(((w.abs() > 1e-9).sum(0) * (low.reshape(-1, 9) > 0)).sum())
