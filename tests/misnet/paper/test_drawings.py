"""Figures 7 to 9: what is drawn is what was recorded; the pictures are the same files for the same spikes."""

import numpy as np
import pytest

from misnet.models.registry import build, config_class
from misnet.paper.drawings import draw_features, draw_maps, draw_rasters, embed, save
from misnet.paper.spikes import features, first_stage, last_stage, modality, spike_trains
from misnet.training.recording import FiringRates
from snncore import Tensor, no_grad

MODELS = {
    "misnet": {"channels": (4, 6), "cells": (1, 1), "size": 8, "timesteps": 3},
    "sew-resnet18": {"channels": (4, 6), "blocks": (1, 1), "stem": "cifar", "size": 8, "timesteps": 3},
}


@pytest.fixture(params=MODELS)
def network(request):
    config = config_class(request.param)(**MODELS[request.param])
    rng = np.random.default_rng(0)
    streams = [rng.normal(size=(s[0], 5, *s[1:])).astype("f4") * 3 for s in config.shapes().values()]
    return build(request.param, config).eval(), streams


def test_spikes_are_those_that_are_counted(network):
    model, streams = network
    rates = FiringRates()
    with no_grad(), rates.recording():
        scores = model(*map(Tensor, streams))
    trains = spike_trains(model, streams)
    assert {path: int(s.sum()) for path, s in trains.items()} == dict(rates.spikes)
    assert sum(map(np.sum, trains.values())) > 0
    last, first = last_stage(trains), first_stage(trains)
    assert {name: s.shape for name, s in first.items()} == dict.fromkeys(("audio", "visual"), (3, 5, 8, 8, 4))
    assert {s.shape[-1] for s in last.values()} == {6}
    g = features(model, streams)
    verdict = next(iter(scores.values())).data
    w, b = (p.data for _, p in model.head.linear.named_parameters())
    np.testing.assert_allclose((g @ w + b).mean(0), verdict, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("stages.0.cells.1.mlif.a", "audio"),
        ("stages.0.unimodal.v.neuron", "visual"),
        ("encoders.visual.stem.neuron", "visual"),
        ("encoders.both.stem.neuron", None),
        ("stages.0.value.neuron", None),
    ],
)
def test_modality_of_a_path(path, expected):
    assert modality(path) == expected


def test_a_network_of_one_stream_is_refused(network):
    trains = {path: s for path, s in spike_trains(*network).items() if modality(path) != "visual"}
    for stage in (first_stage, last_stage):
        with pytest.raises(ValueError, match="expected neurons of audio and of vision, found none of visual among "):
            stage(trains)


def test_rasters_have_a_dot_for_every_spike_and_shares(tmp_path):
    s = np.zeros((2, 10), np.uint8)
    s[0, 3] = s[1, 7] = s[1, 9] = 1
    figure = draw_rasters({"net": {"audio": s, "visual": 0 * s}})
    (ax,) = figure.axes
    assert [len(dots.get_offsets()) for dots in ax.collections] == [3, 0]
    assert [text.get_text() for text in ax.texts] == ["audio\n10.0, 20.0 %", "visual\n0.0, 0.0 %"]
    first, second = (save(draw_rasters({"net": {"audio": s, "visual": s}}), tmp_path / name) for name in "ab")
    assert [path.suffix for path in first] == [".png", ".svg"]
    assert first[0].read_bytes() == second[0].read_bytes()


def test_maps_are_shares_of_channels():
    s = np.zeros((2, 4, 4, 8), np.uint8)
    s[1, 2, 3, :2] = 2  # graded spikes count once
    pixels = np.arange(32.0).reshape(2, 4, 4, 1)
    figure = draw_maps({"audio": pixels}, {"net": {"audio": s}}, "sample 0")
    image = figure.axes[3].images[0].get_array()  # second row, second timestep
    assert image[2, 3] == 0.25
    assert image.sum() == 0.25
    assert [ax.get_title() for ax in figure.axes] == ["t = 1", "t = 2", "", ""]
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), pixels[1, ..., 0])


def test_features_are_drawn_by_class_and_may_be_all_the_same():
    rng = np.random.default_rng(0)
    labels = np.arange(12) % 3
    x = rng.normal(size=(2, 12, 4)) + 10 * labels[:, None]
    figure = draw_features({"a": x, "dead": np.zeros_like(x)}, labels, ("x", "y", "z"), (0, 1))
    assert [len(dots.get_offsets()) for dots in figure.axes[0].collections] == [4, 4, 4]
    assert [ax.get_title() for ax in figure.axes] == ["t = 1", "t = 2", "", ""]
    assert [ax.get_ylabel() for ax in figure.axes] == ["a", "", "dead", ""]
    assert [ax.get_xlabel() for ax in figure.axes] == ["", "", *["no spikes differ"] * 2]
    np.testing.assert_array_equal(embed(x[0]), embed(x[0]))
    assert (embed(np.ones((12, 4))) == 0).all()
