"""SEW-ResNet18: parameters, gradients, counts, connections, fusion, and what is refused."""

import numpy as np
import pytest

from misnet.models.config import ConfigError
from misnet.models.sew_resnet import Config, build
from snncore import Tensor, no_grad
from snncore import functions as F
from tests.misnet.models.checks import batch_of, check_counts_of, check_gradients_of, check_rules_of
from tests.misnet.tiny import WrongGradient

TINY = {"channels": (2, 3), "blocks": (1, 1), "size": 4, "timesteps": 2, "classes": 3, "visual_channels": 2}


def tiny(**switches):
    return Config(**(TINY | switches))


def body(channels, stem):
    """Parameters of a ResNet18 without its linear layer, by hand: convolutions and two numbers a channel of each BN."""
    total, ci = stem * channels[0] + 2 * channels[0], channels[0]
    for co in channels:
        total += 9 * ci * co + 9 * co * co + 4 * co  # first block
        total += ci * co + 2 * co if ci != co else 0  # its shortcut
        total += 2 * 9 * co * co + 4 * co  # second block
        ci = co
    return total


@pytest.mark.parametrize(
    ("switches", "parameters"),
    [
        ({"streams": "visual", "stem": "imagenet", "classes": 1000}, 11_689_512),  # torchvision's resnet18
        ({"streams": "visual"}, body((64, 128, 256, 512), 9 * 3) + 5130),
        ({"streams": "audio"}, body((64, 128, 256, 512), 9) + 5130),
        ({"fusion": "early"}, body((64, 128, 256, 512), 9 * 4) + 5130),
        ({}, body((64, 128, 256, 512), 9 * 3) + body((64, 128, 256, 512), 9) + 10250),
    ],
    ids=str,
)
def test_parameters(switches, parameters):
    assert build(Config(**switches)).count_parameters() == parameters
    assert body((64, 128, 256, 512), 49 * 3) == 11_689_512 - 513_000


@pytest.mark.parametrize(
    "switches",
    [
        {"streams": "visual", "timesteps": 3},
        {"streams": "audio", "connect": "and", "neuron": "lif"},
        {"streams": "visual", "connect": "iand", "stem": "imagenet", "size": 9},
        {"fusion": "early", "neuron": "plif", "reset": "soft"},
        {"fusion": "late", "loss": "mse", "blocks": (1, 2), "audio_size": (3, 5)},
        {"fusion": "late", "head": "mlp", "channels": (3,), "blocks": (1,)},
        {"fusion": "late", "head": "attention", "channels": (3,), "blocks": (1,)},
        {"fusion": "early", "head": "mlp", "channels": (3,), "blocks": (1,)},
        {"fusion": "early", "head": "attention", "channels": (3,), "blocks": (1,)},
    ],
    ids=str,
)
def test_every_parameter(switches):
    assert check_gradients_of(build, tiny(detach_reset=False, **switches)) >= 13


def test_a_slightly_wrong_backward_is_noticed(monkeypatch):
    monkeypatch.setattr(F.SEW, "backward", lambda self, go: (go, go * 1.001))
    with pytest.raises(WrongGradient, match=r"encoders\.visual\.stem\.conv\.weight: backward gives"):
        check_gradients_of(build, tiny(streams="visual", detach_reset=False))


@pytest.mark.parametrize(
    "switches",
    [{"connect": "add"}, {"connect": "iand", "neuron": "lif", "fusion": "early", "stem": "imagenet"}],
    ids=str,
)
def test_counts_and_rules(switches):
    config = tiny(v_threshold=0.4, **switches)
    compared, totals = check_counts_of(build, config)
    assert compared > 10
    assert totals["spikes"] > 0
    check_rules_of(build, config)


@pytest.mark.parametrize("connect", ["add", "and", "iand"])
def test_zero_init_makes_every_block_an_identity(connect):
    config = tiny(streams="visual", channels=(3,), blocks=(2,), connect=connect, zero_init=True, timesteps=3)
    encoder = build(config).encoders["visual"]
    (x,), _ = batch_of(config)
    with no_grad():
        s = encoder.stem(Tensor(2 * x))
        o = encoder.stages(s)
    assert 0 < s.data.mean() < 1
    np.testing.assert_array_equal(o.data, s.data)


@pytest.mark.parametrize("head", ["sum", "hadamard"])
@pytest.mark.parametrize("fusion", ["early", "late"])
def test_sum_and_hadamard_fuse_inputs_or_features(fusion, head):
    operation = {"sum": np.add, "hadamard": np.multiply}[head]
    config = tiny(fusion=fusion, head=head, channels=(3,), blocks=(1,), v_threshold=0.4)
    model = build(config)
    (audio, visual), _ = batch_of(config)
    with no_grad():
        scores = model(Tensor(audio), Tensor(visual))["av"].data
        if fusion == "early":  # one network over what is fused; audio has one channel, vision two
            twin = build(tiny(streams="visual", channels=(3,), blocks=(1,), v_threshold=0.4))
            twin.load_state_dict({k.replace("both", "visual"): x for k, x in model.state_dict().items()})
            expected = twin(Tensor(operation(audio, visual)))["v"].data
        else:
            g_a, g_v = (g.data for g in model.encode(Tensor(audio), Tensor(visual)))
            linear = model.head.linear
            expected = (operation(g_a, g_v) @ linear.weight.data + linear.bias.data).mean(0)
            assert g_a.any()
            assert g_v.any()
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


def test_early_fusion_is_one_network_over_the_channels_of_both():
    early, single = tiny(fusion="early"), tiny(streams="visual", visual_channels=3)
    model, twin = build(early), build(single)
    twin.load_state_dict({k.replace("both", "visual"): x for k, x in model.state_dict().items()})
    streams, _ = batch_of(early)
    with no_grad():
        scores = model(*map(Tensor, streams))["av"]
        np.testing.assert_array_equal(scores.data, twin(Tensor(np.concatenate(streams, -1)))["v"].data)


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"timesteps": 0}, "timesteps: expected a positive integer, found 0"),
        ({"blocks": (1,)}, r"blocks: expected 2 numbers, one a stage, found \(1,\)"),
        ({"channels": ()}, r"channels: expected positive integers, one a stage, found \(\)"),
        ({"connect": "or"}, "connect: expected one of add, and, iand, found 'or'"),
        (
            {"fusion": "early", "audio_size": (8, 8)},
            r"fusion: early .* audio of \(8, 8\) and visual of \(4, 4\) pixels",
        ),
        ({"streams": "audio", "head": "sum"}, "head: sum fuses two streams, found streams 'audio'; expected concat"),
        (
            {"fusion": "early", "head": "mlp", "audio_channels": 2, "visual_channels": 3},
            "head: mlp fuses inputs of as many channels each, .* found 2 of audio and 3 of vision; expected concat",
        ),
        ({"stem": "none"}, "stem: expected one of cifar, imagenet, found 'none'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(switches, message):
    with pytest.raises(ConfigError, match=message):
        tiny(**switches)
