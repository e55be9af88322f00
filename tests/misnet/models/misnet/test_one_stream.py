"""MISNet with one stream (Table 2, visual-only), and the dropout of the public code."""

import numpy as np
import pytest

from misnet import ConfigError, MISNet, MISNetConfig, loss, preset
from snncore import Tensor, no_grad, training_step
from snncore import functions as F
from tests.misnet.models.misnet.numpy_mlif import lif
from tests.misnet.tiny import make_batch, random_spikes, shaken, streams_of, tiny_config


class Data:
    """What a configuration is fitted to."""

    name, class_names, timesteps = "some", tuple("abcd"), 3

    def __init__(self, **streams):
        self.streams = streams


def conv_bn(ci, co):
    return 9 * ci * co + 2 * co


@pytest.mark.parametrize(("streams", "inputs"), [("audio", 1), ("visual", 2)])
def test_parameters_by_hand(streams, inputs):
    model = MISNet(tiny_config(streams=streams))
    first = conv_bn(inputs, 2) + 2 * conv_bn(2, 2) + 8 * 8  # ConvBNLIF, SEW, W
    second = conv_bn(2, 3) + 2 * conv_bn(3, 3) + 4 * 4
    assert model.count_parameters() == first + second + 3 * 4 + 4
    m = streams[0]
    assert list(model.heads) == [m]
    assert all(f".{m}." in n or n.endswith(f"w_{m}") or n.startswith(f"head_{m}") for n, _ in model.named_parameters())


@pytest.mark.parametrize("variant", ["XS", "S"])
def test_one_stream_is_half_of_the_network_that_the_paper_counts(variant):
    """Table 2 prints for vision alone the parameters of both streams: 4.06 M and 7.33 M."""
    both, visual = (MISNet(preset("paper", variant, streams=s)) for s in ("both", "visual"))
    audio = MISNet(preset("paper", variant, streams="audio"))
    shared = both.head.linear.weight.size + both.head.linear.bias.size  # the head over both
    alphas = 2 * sum(both.config.stage_cells)
    assert visual.count_parameters() + audio.count_parameters() == both.count_parameters() - shared - alphas
    assert visual.count_parameters() == {"XS": 2_295_946, "S": 3_476_682}[variant]


def test_a_stream_by_itself_is_that_half_of_two_independent_ones():
    """Same weights, same scores: with two independent LIFs the encoders of the whole network do not meet."""
    whole = shaken(MISNet(tiny_config(mlif="independent", mlif_v_threshold=0.4))).eval()
    weights = whole.state_dict()
    x_a, x_v, _ = make_batch(whole.config)
    with no_grad():
        expected = whole(Tensor(x_a), Tensor(x_v))
        for name, x in (("audio", x_a), ("visual", x_v)):
            part = MISNet(tiny_config(streams=name, mlif_v_threshold=0.4)).eval()
            part.load_state_dict({n: weights[n] for n in part.state_dict()})
            found = part(Tensor(x))
            np.testing.assert_array_equal(found[name[0]].data, expected[name[0]].data)
            assert found[name[0]].data.any()


def test_the_neuron_of_a_cell_is_a_lif_on_weighted_currents():
    rng = np.random.default_rng(0)
    config = tiny_config(streams="visual", sew="off", mlif_v_threshold=0.6)
    cell = MISNet(config).stages[0].cells[0]
    cell.w_v.data[...] = rng.uniform(0.4, 1.2, cell.w_v.shape)
    s = random_spikes(rng, 3, 2, 8, 8, 2)
    (found,) = cell(Tensor(s))
    np.testing.assert_array_equal(found.data, lif(s * cell.w_v.data, 0.5, 0.6))
    assert 0.1 < found.data.mean() < 0.5


def test_the_loss_is_that_of_the_one_head():
    config = tiny_config(streams="audio", beta_a=0.3, beta_v=0.9)
    model, labels = MISNet(config), np.array([0, 3, 1])
    scores = model(*map(Tensor, streams_of(config)))
    assert loss(scores, labels, config).item() == F.MSE()(scores["a"], F.one_hot(labels, 4, np.float32)).item()


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        (
            {"head": "attention"},
            r"head: a network of one stream \(visual\) has nothing to fuse; expected concat, found",
        ),
        ({"mlif_fusion": "attention"}, r"mlif_fusion: a network of one stream \(visual\) has nothing to fuse"),
        ({"mlif": "fused-charge"}, r"mlif: a network of one stream \(visual\) has no currents to fuse"),
        ({"dropout": 1.0}, r"dropout: expected a rate in \[0, 1\), found 1\.0"),
        ({"dropout": -0.1}, r"dropout: expected a rate in \[0, 1\), found -0\.1"),
        ({"streams": "text"}, "streams: expected one of both, audio, visual, found 'text'"),
    ],
    ids=str,
)
def test_what_one_stream_cannot_have_is_refused(switches, message):
    with pytest.raises(ConfigError, match=message):
        MISNetConfig(**({"streams": "visual"} | switches))


def test_data_of_one_stream_are_enough_for_it():
    seen = Data(visual=(3, 16, 16, 2))
    fitted = MISNetConfig(streams="visual").fit(seen)
    assert (fitted.size, fitted.visual_channels, fitted.classes, fitted.timesteps) == (16, 2, 4, 3)
    for streams in ("both", "audio"):
        with pytest.raises(
            ConfigError, match="some: the network takes the stream 'audio', the data set offers 'visual'"
        ):
            MISNetConfig(streams=streams).fit(seen)
    with pytest.raises(ConfigError, match=r"some: MISNet takes square inputs, found \(16, 8\)"):
        MISNetConfig(streams="visual").fit(Data(visual=(3, 16, 8, 2)))
    both = Data(audio=(3, 8, 8, 1), visual=(3, 8, 8, 3))
    assert MISNetConfig(streams="audio").fit(both).shapes() == {"audio": (3, 8, 8, 1)}


def test_the_public_code_drops_in_l_and_xl_alone():
    assert [preset("public-code", v).dropout for v in ("XS", "S", "L", "XL")] == [0, 0, 0.3, 0.3]
    assert MISNetConfig(variant="XL").dropout == 0
    assert MISNet(tiny_config()).dropout is MISNet(tiny_config()).stages[0].dropout is None


def test_dropout_after_each_stage_and_before_each_head():
    config = tiny_config(dropout=0.5, mlif_v_threshold=0.4)
    plain, dropping = shaken(MISNet(tiny_config(mlif_v_threshold=0.4))), shaken(MISNet(config))
    inputs = list(map(Tensor, streams_of(config)))
    assert list(dropping.state_dict()) == list(plain.state_dict())
    places = [path for path, module in dropping.named_modules() if type(module).__name__ == "Dropout"]
    assert places == [f"stages.{i}.dropout.{m}" for i in (0, 1) for m in "av"] + [
        "head.dropout",
        "dropout.a",
        "dropout.v",
    ]
    with no_grad():
        np.testing.assert_array_equal(dropping.eval()(*inputs).p.data, plain.eval()(*inputs).p.data)
        dropping.train()
        scores = []
        for step in (1, 1, 2):
            with training_step(0, step):
                scores.append(dropping(*inputs).p.data)
    np.testing.assert_array_equal(scores[0], scores[1])  # the mask is of the step
    assert (scores[0] != scores[2]).any()
