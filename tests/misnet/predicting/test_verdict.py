"""Scores of a sample after each timestep and with a stream silenced, against other ways to have them."""

import numpy as np
import pytest

from misnet import MISNet
from misnet.predicting.verdict import Verdict, deciding, verdict_of
from snncore import Tensor, no_grad, observe
from snncore.functions import Mean
from tests.misnet.tiny import shaken, streams_of, tiny_config


def network(**switches):
    config = tiny_config(channels=(6, 8), v_threshold=0.4, mlif_v_threshold=0.2, **switches)
    model = MISNet(config, seed=2)
    shaken(model)
    return model, streams_of(config, n=1, seed=3)


def test_the_scores_after_each_timestep_are_the_running_means_of_the_heads():
    model, streams = network()
    found = verdict_of(model, streams)
    outputs = []

    def note(function, inputs, of):
        if isinstance(function, Mean) and inputs[0].shape == (3, 1, 4):
            outputs.append(inputs[0][:, 0])  # [T, classes], of av, a, v

    with no_grad(), observe(note):
        scores = model(*map(Tensor, streams))
    assert len(outputs) == 3
    for head, of_head in zip(("av", "a", "v"), outputs, strict=True):
        means = np.cumsum(of_head, axis=0) / np.arange(1, 4)[:, None]
        np.testing.assert_allclose(found.running[head], means, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(found.running[head][-1], scores[head].data[0])
        np.testing.assert_array_equal(found.scores[head], scores[head].data[0])
        assert np.abs(np.diff(found.running[head], axis=0)).max() > 1e-3  # they change from step to step


def test_a_silenced_stream_is_zeros_and_the_input_is_left_alone():
    model, (audio, visual) = network()
    before = audio.copy(), visual.copy()
    found = verdict_of(model, (audio, visual))
    with no_grad():
        deaf = model(Tensor(np.zeros_like(audio)), Tensor(visual))
    for head, scores in deaf.items():
        np.testing.assert_array_equal(found.silenced["audio"][head], scores.data[0])
    np.testing.assert_array_equal(found.silenced["audio"]["v"], found.scores["v"])  # that head never heard anything
    assert not np.array_equal(found.silenced["visual"]["av"], found.scores["av"])
    np.testing.assert_array_equal((audio, visual)[0], before[0])
    np.testing.assert_array_equal(visual, before[1])


def test_one_stream_has_nothing_to_silence():
    model, streams = network(streams="audio")
    found = verdict_of(model, streams)
    assert (found.silenced, found.head, list(found.scores)) == ({}, "a", ["a"])
    assert deciding(found, "abcd") == "there is one modality alone"


def test_a_network_that_takes_all_timesteps_at_once_says_no_running_scores():
    model, streams = network()
    forward = model.forward

    def whole(*x):
        if len(x[0].data) != 3:
            raise ValueError("made for three timesteps")
        return forward(*x)

    model.forward = whole
    found = verdict_of(model, streams)
    assert found.running is None
    assert found.scores["av"].shape == (4,)


def verdict(whole, **without):
    """Scores of one head; without: the same where that stream is silenced."""
    silenced = {name: {"av": np.array(scores)} for name, scores in without.items()}
    return Verdict({"av": np.array(whole), "a": np.array([0, 0, 9])}, None, silenced)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            verdict([1, 0, 2], audio=[0, 5, 1], visual=[0, 0, 1]),
            "audio: without audio it is dog; without visual it stays owl",
        ),
        (
            verdict([1, 0, 2], audio=[0, 0, 1], visual=[1, 0, 0]),
            "visual: without visual it is cat; without audio it stays owl",
        ),
        (
            verdict([1, 0, 2], audio=[0, 5, 1], visual=[1, 0, 0]),
            "both together: owl needs audio and visual; without audio it is dog and without visual it is cat",
        ),
        (
            verdict([1, 0, 2], audio=[0, 0, 1], visual=[1, 0, 3]),
            "none alone: owl stays the verdict whichever of audio and visual is silenced",
        ),
        (
            verdict([1, 0, 2], touch=[9, 0, 1], audio=[0, 0, 1], visual=[9, 0, 3]),
            "touch and visual: without touch it is cat and without visual it is cat; without audio it stays owl",
        ),
    ],
)
def test_which_modality_decides_in_words(found, words):
    assert (found.head, found.label) == ("av", 2)
    assert deciding(found, ("cat", "dog", "owl")) == words
