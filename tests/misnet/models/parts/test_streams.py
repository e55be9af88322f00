"""Switches for streams: what they take of the data, what they refuse; early and late fusion; the head; the losses."""

from dataclasses import dataclass

import numpy as np
import pytest

from misnet.models.config import ConfigError
from misnet.models.contract import check_fits
from misnet.models.parts.streams import FusionConfig, FusionModel, PooledHead, StreamsConfig, class_loss
from snncore import Tensor, nn


@dataclass
class Data:
    """What a configuration is fitted to."""

    streams: dict
    class_names: tuple = ("left", "right", "up")
    timesteps: int = 2
    name: str = "made-up"


AUDIO, VISUAL = (2, 6, 8, 1), (2, 4, 4, 3)


class Mean(nn.Module):
    """An encoder: the mean over the pixels of an input with `channels` channels."""

    def __init__(self, shape):
        self.channels = shape[-1]

    def forward(self, x):
        assert x.shape[-1] == self.channels
        return nn.GlobalAvgPool()(x)


@pytest.mark.parametrize(
    ("streams", "shapes"),
    [("both", {"audio": AUDIO, "visual": VISUAL}), ("audio", {"audio": AUDIO}), ("visual", {"visual": VISUAL})],
)
def test_sizes_channels_and_classes_are_those_of_the_data(streams, shapes):
    data = Data({"audio": AUDIO, "visual": VISUAL})
    config = StreamsConfig(streams=streams).fit(data)
    assert config.shapes() == config.encoder_inputs() == shapes
    assert (config.classes, config.timesteps, config.size) == (3, 2, 4)
    check_fits(config, data)
    assert StreamsConfig.from_dict(config.to_dict()) == config


def test_one_stream_is_fitted_to_data_that_have_no_other():
    config = StreamsConfig(streams="audio").fit(Data({"audio": (2, 6, 6, 1)}))
    assert (config.shapes(), config.audio_size) == ({"audio": (2, 6, 6, 1)}, None)
    with pytest.raises(
        ConfigError, match="made-up: the network takes the stream 'visual', the data set offers 'audio'"
    ):
        StreamsConfig().fit(Data({"audio": AUDIO}))
    assert StreamsConfig(streams="audio").fit(Data({"audio": (2, 6, 6, 1), "visual": (2, 5)})).size == 6
    with pytest.raises(ConfigError, match=r"audio input: the network takes \(2, 32, 32, 1\), made-up has \(2, 5\)"):
        StreamsConfig(streams="audio").fit(Data({"audio": (2, 5)}))


def test_data_of_another_size_are_named():
    config = StreamsConfig().fit(Data({"audio": AUDIO, "visual": VISUAL}))
    with pytest.raises(ConfigError, match=r"audio_size: the network has \(6, 8\), made-up has \(6, 9\)"):
        check_fits(config, Data({"audio": (2, 6, 9, 1), "visual": VISUAL}))
    with pytest.raises(ConfigError, match="the network takes the stream 'audio', the data set offers 'visual'"):
        check_fits(config, Data({"visual": VISUAL}))


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"streams": "touch"}, "streams: expected one of both, audio, visual, found 'touch'"),
        ({"size": 0}, "size: expected a positive integer, found 0"),
        ({"visual_size": (4,)}, r"visual_size: expected two positive integers, height and width, found \(4,\)"),
        ({"audio_size": (4, 0)}, r"audio_size: expected two positive integers, height and width, found \(4, 0\)"),
        ({"timesteps": 0}, "timesteps: expected a positive integer, found 0"),
        ({"fusion": "early", "streams": "audio"}, "fusion: early fusion joins two streams, found streams 'audio'"),
        (
            {"fusion": "early", "audio_size": (32, 64)},
            r"fusion: early fusion .* of one size, found audio of \(32, 64\) and visual of \(32, 32\) pixels; use late",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(switches, message):
    with pytest.raises(ConfigError, match=message):
        FusionConfig(**switches)


@pytest.mark.parametrize(
    ("switches", "head", "encoders"),
    [
        ({}, "av", {"audio": 1, "visual": 3}),
        ({"fusion": "early"}, "av", {"both": 4}),
        ({"streams": "audio"}, "a", {"audio": 1}),
        ({"streams": "visual"}, "v", {"visual": 3}),
    ],
)
def test_encoders_head_and_scores(rng, switches, head, encoders):
    config = FusionConfig(size=2, timesteps=2, classes=3, **switches)
    shapes = config.encoder_inputs()
    assert {name: shape[-1] for name, shape in shapes.items()} == encoders
    # one number of features for all encoders: here that of the only one, or 1 and 3 in a model whose head is replaced
    model = FusionModel(config, Mean, 1, np.random.default_rng(0))
    model.head = PooledHead(tuple(encoders.values()), 3, np.random.default_rng(0))
    inputs = [rng.normal(size=(2, 5, 2, 2, shape[-1])).astype(np.float32) for shape in config.shapes().values()]
    scores = model(*map(Tensor, inputs))
    means = np.concatenate([x.mean((0, 2, 3)) for x in inputs], -1)  # [N, F]
    w, b = model.head.linear.weight.data, model.head.linear.bias.data
    assert list(scores) == list(model.heads) == [head]
    np.testing.assert_allclose(scores[head].data, means @ w + b, rtol=1e-5, atol=1e-6)
    labels = np.array([0, 1, 2, 0, 1])
    assert model.loss(scores, labels).item() == class_loss(config, scores[head], labels).item()


def test_both_losses_by_hand():
    p, labels = Tensor(np.array([[0.5, 0.0], [0.0, 1.0]])), np.array([0, 1])
    assert class_loss(StreamsConfig(classes=2, loss="mse"), p, labels).item() == 0.25 / 4
    expected = (np.log1p(np.exp(-0.5)) + np.log1p(np.exp(-1.0))) / 2
    assert class_loss(StreamsConfig(classes=2), p, labels).item() == pytest.approx(expected, rel=1e-12)
