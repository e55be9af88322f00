"""MISNet as a whole: loss, seeds, sizes, modes, and what it refuses."""

import numpy as np
import pytest

from misnet import ConfigError, MISNet, MISNetConfig, loss, preset
from misnet.models.misnet.model import Outputs
from snncore import Tensor, no_grad
from tests.misnet.tiny import copy_of, lively, make_batch, tiny_config

VARIED = [{}, {"mlif_fusion": "attention"}, {"pooling": "avg", "head_pool": 1, "sew": "shared", "neuron": "clif"}]


def forward(model, batch):
    with no_grad():
        return model(Tensor(batch[0]), Tensor(batch[1]))


def scores(seed=0, n=5, classes=4):
    return Outputs(*map(Tensor, np.random.default_rng(seed).standard_normal((3, n, classes))))


LABELS = np.array([2, 0, 3, 3, 1])


def test_loss_is_equations_14_to_16():
    outputs = scores()
    y = np.zeros((5, 4))
    y[np.arange(5), LABELS] = 1
    mm, a, v = (((x.data - y) ** 2).sum() / 20 for x in outputs.values())
    config = tiny_config(beta_a=0.3, beta_v=0.8)
    assert loss(outputs, LABELS, config).item() == pytest.approx(mm + 0.3 * a + 0.8 * v, rel=1e-14)
    assert loss(outputs, LABELS, tiny_config(beta_a=0, beta_v=0)).item() == pytest.approx(mm, rel=1e-14)


def test_cross_entropy_takes_the_place_of_mse():
    outputs = scores()

    def entropy(x):
        p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
        return -np.mean(np.log(p[np.arange(5), LABELS]))

    mm, a, v = (entropy(x.data) for x in outputs.values())
    config = tiny_config(loss="cross-entropy", beta_a=0.3, beta_v=0.8)
    assert loss(outputs, LABELS, config).item() == pytest.approx(mm + 0.3 * a + 0.8 * v, rel=1e-12)


def test_scores_are_means_over_the_timesteps_of_the_heads():
    config = tiny_config(timesteps=4)
    model = lively(config)
    x_a, x_v, _ = make_batch(config)
    with no_grad():
        y_a, y_v = Tensor(x_a), Tensor(x_v)
        for stage in model.stages:
            y_a, y_v = stage(y_a, y_v)
    g_a, g_v = (y.data.mean((2, 3)) for y in (y_a, y_v))  # [T, N, C]
    w = model.state_dict()
    expected = (
        np.concatenate([g_a, g_v], -1) @ w["head.linear.weight"] + w["head.linear.bias"],
        g_a @ w["head_a.weight"] + w["head_a.bias"],
        g_v @ w["head_v.weight"] + w["head_v.bias"],
    )
    for found, steps in zip(forward(model, (x_a, x_v)).values(), expected, strict=True):
        assert steps.std(axis=0).max() > 1e-3  # the steps do differ
        assert found.shape == (3, 4)
        np.testing.assert_allclose(found.data, steps.mean(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("audio", "video", "message"),
    [
        ((3, 2, 8, 8, 2), (3, 2, 8, 8, 2), r"audio input: expected \[T, N, 8, 8, 1\], found \(3, 2, 8, 8, 2\)"),
        ((3, 2, 8, 9, 1), (3, 2, 8, 8, 2), r"audio input: expected \[T, N, 8, 8, 1\], found \(3, 2, 8, 9, 1\)"),
        ((3, 2, 8, 8, 1), (3, 2, 8, 8, 1), r"visual input: expected \[T, N, 8, 8, 2\], found \(3, 2, 8, 8, 1\)"),
        ((3, 2, 8, 8, 1), (2, 8, 8, 2), r"visual input: expected \[T, N, 8, 8, 2\], found \(2, 8, 8, 2\)"),
    ],
)
def test_an_input_of_another_shape_is_refused_by_name(audio, video, message):
    model = MISNet(tiny_config())
    with pytest.raises(ValueError, match=message):
        model(Tensor(np.zeros(audio, np.float32)), Tensor(np.zeros(video, np.float32)))


@pytest.mark.parametrize("fusion", ["concat", "mlp", "attention"])
@pytest.mark.parametrize("head", ["concat", "sum", "hadamard", "mlp", "attention"])
@pytest.mark.parametrize("lengths", [((2, 3), (4, 3)), ((1, 3), (4, 3)), ((4, 1), (4, 3)), ((4, 3), (4, 2))], ids=str)
def test_streams_of_other_lengths_are_refused_and_neither_cut_nor_broadcast(fusion, head, lengths):
    model = MISNet(tiny_config(mlif_fusion=fusion, head=head))
    audio, video = (Tensor(np.ones((*n, 8, 8, c), np.float32)) for n, c in zip(lengths, (1, 2), strict=True))
    before = copy_of(model.state_dict())
    shapes = rf"audio {audio.shape} and visual {video.shape}".replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=f"the same timesteps T and samples N in every stream, found {shapes}"):
        model(audio, video)
    for name, x in model.state_dict().items():  # nothing ran: the running statistics are those of the start
        np.testing.assert_array_equal(x, before[name], err_msg=name)


def test_another_number_of_streams_is_refused():
    model = MISNet(tiny_config())
    x = Tensor(np.zeros((3, 2, 8, 8, 1), np.float32))
    for streams in ((x,), (x, x, x)):
        with pytest.raises(ValueError, match=f"MISNet-XS: expected 2 streams, audio, visual, found {len(streams)}"):
            model(*streams)


@pytest.mark.parametrize("kind", ["mse", "cross-entropy"])
@pytest.mark.parametrize("labels", [[-1, 0, 1, 2, 3], [0, 1, 2, 3, 4]])
def test_a_label_that_is_no_class_is_refused_by_every_loss(kind, labels):
    message = f"labels run from {min(labels)} to {max(labels)}, classes are 4"
    with pytest.raises(ValueError, match=message):
        loss(scores(), np.array(labels), tiny_config(loss=kind))


def test_the_heads_by_name_and_as_the_paper_calls_them():
    outputs = forward(MISNet(tiny_config()), make_batch(tiny_config()))
    assert list(outputs) == list(MISNet.heads) == ["av", "a", "v"]
    assert outputs.p is outputs["av"]
    assert outputs.o_a is outputs["a"]
    assert outputs.o_v is outputs["v"]


def test_a_seed_gives_the_same_weights_and_another_seed_others():
    a, b, c = (MISNet(tiny_config(), seed).state_dict() for seed in (3, 3, 4))
    for name, x in a.items():
        np.testing.assert_array_equal(x, b[name])
        if name.endswith(("conv.weight", "linear.weight")):
            assert (x != c[name]).all(), name


@pytest.mark.parametrize("switches", VARIED, ids=str)
def test_evaluation_changes_no_weight_and_no_running_statistic(switches):
    config = tiny_config(**switches)
    model = MISNet(config)
    forward(model.train(), make_batch(config))
    before = copy_of(model.state_dict())
    forward(model.eval(), make_batch(config, seed=1))
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x, before[name], err_msg=name)


def test_training_changes_the_running_statistics_alone():
    config = tiny_config()
    model = MISNet(config).train()
    before = copy_of(model.state_dict())
    forward(model, make_batch(config))
    for name, x in model.state_dict().items():
        assert (x != before[name]).any() == ("running" in name), name


@pytest.mark.parametrize("switches", VARIED, ids=str)
def test_in_evaluation_a_sample_does_not_depend_on_its_batch(switches):
    config = tiny_config(**switches)
    model = lively(config)
    x_a, x_v, _ = make_batch(config, n=5)
    whole = forward(model, (x_a, x_v))
    parts = [forward(model, (x_a[:, part], x_v[:, part])) for part in (slice(0, 1), slice(1, 3), slice(3, 5))]
    for head, scores in whole.items():
        np.testing.assert_allclose(np.concatenate([p[head].data for p in parts]), scores.data, rtol=1e-6, atol=1e-6)
    assert whole.p.data.std(axis=0).max() > 1e-3  # the samples do differ


@pytest.mark.parametrize("switches", VARIED, ids=str)
@pytest.mark.parametrize(("size", "timesteps"), [(8, 1), (9, 2), (13, 3), (4, 1)])
def test_one_timestep_and_odd_sizes_train(switches, size, timesteps):
    config = tiny_config(size=size, timesteps=timesteps, **switches)
    model = MISNet(config)
    x_a, x_v, labels = make_batch(config, n=2)
    outputs = model(Tensor(x_a), Tensor(x_v))
    value = loss(outputs, labels, config)
    value.backward()
    assert np.isfinite(value.item())
    assert [x.shape for x in outputs.values()] == [(2, 4)] * 3
    assert all(np.isfinite(p.grad).all() for p in model.parameters())


def test_float64_weights_give_float64_scores_and_about_the_same_values():
    config = tiny_config()
    batch = make_batch(config)
    model = lively(config)
    single = forward(model, batch)
    double = forward(model.astype(np.float64), tuple(x.astype(np.float64) for x in batch[:2]))
    for x, y in zip(single.values(), double.values(), strict=True):
        assert (x.dtype, y.dtype) == (np.float32, np.float64)
        np.testing.assert_allclose(x.data, y.data, rtol=1e-4, atol=1e-5)
        assert x.data.std(axis=0).max() > 1e-3


@pytest.mark.parametrize("head", ["concat", "mlp", "attention"])
def test_only_the_last_layer_of_each_head_begins_smaller(head):
    usual, small = (MISNet(tiny_config(head=head, head_scale=scale)) for scale in (1.0, 0.1))
    last = {f"{layer}.{part}" for layer in ("head.linear", "head_a", "head_v") for part in ("weight", "bias")}
    for (name, x), (_, y) in zip(usual.named_parameters(), small.named_parameters(), strict=True):
        expected = x.data * np.float32(0.1) if name in last else x.data
        np.testing.assert_array_equal(y.data, expected, err_msg=name)
    assert MISNetConfig().head_scale == 0.1


def test_what_is_no_configuration_and_no_array_is_named():
    for config in (None, {}):
        with pytest.raises(ConfigError, match="config: expected a MISNetConfig, as preset"):
            MISNet(config)
    net = MISNet(preset("paper", "XS", size=8, timesteps=1, channels=(2, 2, 2)))
    audio = np.zeros((1, 1, 8, 8, 1), np.float32)
    for found, visual in (("NoneType", None), ("list", audio.tolist())):
        with pytest.raises(ValueError, match=f"visual input: expected an array, found a {found}"):
            net(audio, visual)
