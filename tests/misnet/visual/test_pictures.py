"""What is drawn is what was recorded: membranes, rates, balance, maps, surrogate, weights."""

import numpy as np
import pytest

from misnet.visual.balance import draw_balance
from misnet.visual.maps import draw_overlays, share_of_channels
from misnet.visual.membranes import choose_neurons, draw_membranes
from misnet.visual.rasters import draw_rasters
from misnet.visual.rates import draw_rates
from misnet.visual.style import colour_of, contents
from misnet.visual.surrogates import draw_surrogate, share_that_learns
from misnet.visual.weights import draw_weights
from snncore import Tensor, monitor, nn
from snncore.surrogate import Rectangle, Sigmoid


@pytest.fixture
def record():
    """Seven neurons: currents 0.6 fire at t = 3, 0.8 at t = 2 and 4, 2 always, the others never."""
    lif = nn.LIF()
    currents = np.array([0.6, 0.1, 0.8, 0.3, 2.0, 0.3, 0.8]) * np.ones((4, 2, 1))
    with monitor(lif) as seen:
        lif(Tensor(currents))
    return seen["LIF"]


def test_neurons_that_fire_and_that_do_not_are_chosen_by_turns_and_differ(record):
    assert record.spikes[:, 0].sum(0).tolist() == [1, 0, 2, 0, 4, 0, 2]
    assert choose_neurons(record, 4) == [(2,), (3,), (0,), (1,)]
    assert choose_neurons(record, 6) == [(2,), (3,), (0,), (1,), (4,), (5,)]  # 5 repeats 3
    assert sorted(choose_neurons(record, 99)) == [(k,) for k in range(7)]


def test_the_line_of_a_membrane_goes_through_leak_charge_and_reset(record):
    figure = draw_membranes({"layer": record}, 3, "a title")
    axes = figure.axes[1]  # the neuron 3 does not fire
    assert axes.get_title() == "neuron 3"
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    np.testing.assert_allclose(
        lines["membrane"], [0, 0.3, 0.3, 0.15, 0.45, 0.45, 0.225, 0.525, 0.525, 0.2625, 0.5625, 0.5625]
    )
    assert len(lines["spike"]) == 0
    fires = {line.get_label(): line for line in figure.axes[0].lines}
    assert fires["spike"].get_xdata().tolist() == [2, 4]
    np.testing.assert_allclose(fires["spike"].get_ydata(), [1.2, 1.25])  # 0.4 + 0.8, 0.5 (0.5 0.2 + 0.8) + 0.8
    np.testing.assert_allclose(fires["reset"].get_ydata(), [0.2, 0.25])
    assert list(fires["threshold"].get_ydata()) == [1.0, 1.0]
    assert [bar.get_height() for bar in figure.axes[0].patches] == pytest.approx([0.8] * 4)


def test_long_trains_are_not_named_timestep_by_timestep():
    s = np.ones((40, 3), np.uint8)
    (ax,) = draw_rasters({"layer": {"touch": s}}, "", ("touch",), "title").axes
    assert [label.get_text() for label in ax.get_yticklabels()] == [f"t={t}" for t in range(1, 41, 5)]
    assert [text.get_text() for text in ax.texts] == ["touch\nmean 100.0 %"]


def test_rates_are_a_table_for_each_stream():
    rates = {
        "one": {"audio": np.array([0.1, 0.3]), "visual": np.array([0.2, 0.2])},
        "two": {"visual": np.array([0.4, 0])},
    }
    audio, visual, means = draw_rates(rates, ("audio", "visual"), "title").axes[:3]
    np.testing.assert_array_equal(audio.images[0].get_array().filled(-1), [[0.1, 0.3], [-1, -1]])
    np.testing.assert_array_equal(visual.images[0].get_array(), [[0.2, 0.2], [0.4, 0]])
    lines = {line.get_label(): line for line in means.lines}
    np.testing.assert_allclose(lines["visual"].get_xdata(), [0.2, 0.2])
    np.testing.assert_allclose(lines["audio"].get_xdata(), [0.2])
    assert len(draw_rates({"dead": {"visual": np.zeros(2)}}, ("visual",), "").axes) == 3


def test_balance_has_a_bar_for_each_way_and_a_line_for_each_stream():
    bars = {"both": (0.9, "all"), "no audio": (0.25, "visual")}
    left, right = draw_balance(bars, 0.1, {"visual": np.array([0.1, 0.2])}, ("audio", "visual"), "").axes
    assert [bar.get_width() for bar in left.patches] == [90, 25]
    assert [text.get_text() for text in left.texts] == ["90.0", "25.0"]
    assert right.lines[0].get_ydata().tolist() == [0.1, 0.2]
    assert len(draw_balance(bars, 0.1, {}, ("audio", "visual"), "").axes) == 1


def test_maps_lie_over_the_input_of_their_stream():
    spikes = np.zeros((2, 2, 2, 4), np.uint8)
    spikes[1, 0, 1, :3] = 1
    pixels = np.arange(32.0).reshape(2, 4, 4, 1)
    axes = draw_overlays({"visual": pixels}, {"visual": {"layer": spikes}}, "sample").axes
    under, over = axes[3].images
    np.testing.assert_array_equal(under.get_array(), pixels[1, ..., 0])
    np.testing.assert_array_equal(over.get_array(), [[0, 1], [0, 0]])
    assert over.get_extent() == under.get_extent()
    assert axes[2].get_ylabel() == "layer\nmost 75 %"
    np.testing.assert_array_equal(share_of_channels(np.array([[-1.0, 3.0]])), [1.5])


def test_the_share_of_membranes_that_learn():
    margin = np.array([-3, -0.6, -0.4, 0, 0.4, 0.6])
    assert share_that_learns(Rectangle(), margin) == 0.5
    assert share_that_learns(Rectangle(), margin[:0]) == 0
    x = np.arccosh(np.sqrt(10)) / 2  # 4 p (1 - p) = 1 / cosh(2x)^2 is a tenth where cosh(2x) = sqrt(10)
    assert share_that_learns(Sigmoid(slope=4.0), np.array([-x - 1e-6, -x + 1e-6, x - 1e-6, x + 1e-6])) == 0.5
    upper, lower = draw_surrogate(Rectangle(), [margin, margin * 0]).axes
    assert upper.get_title() == "Rectangle(width=1.0)"
    assert sum(bar.get_height() for bar in lower.patches) == 11  # -3 is one in twelve, beyond what is shown
    assert "75 % lie where" in lower.get_title()


def test_weights_have_a_panel_for_what_there_is():
    numbers, sizes = {"alpha": {0: 0.5, 2: 0.7}}, {f"w{k}": {0: 2.0, 2: 3.0 + k} for k in range(20)}
    top, middle, bottom = draw_weights(numbers, sizes, {"w0": np.array([[1.0, 3.0]])}, "title").axes
    assert (top.lines[0].get_xdata().tolist(), top.lines[0].get_ydata().tolist()) == ([0, 2], [0.5, 0.7])
    assert len(middle.lines) == 20
    assert sorted(line.get_ydata()[1] for line in middle.lines)[0] == 1.5
    assert len(middle.get_legend().get_texts()) == 12
    assert middle.get_title().endswith("grey: 8 more")
    assert sum(bottom.lines[0].get_ydata()) == 1
    two = draw_weights({"a.alpha_a": {0: 0.5}, "b.w": {0: 1.0}, "b.alpha_v": {0: 0.4}}, {}, {}, "").axes
    assert [(ax.get_title(), len(ax.lines)) for ax in two] == [("alpha, learned", 2), ("w, learned", 1)]
    assert len(draw_weights({}, sizes, {"w0": np.zeros((2, 2))}, "").axes) == 2


def test_pictures_are_the_same_files_and_streams_have_colours(record):
    for ending in ("png", "svg"):
        first, second = (contents(draw_membranes({"layer": record}, 1), ending, 40) for _ in range(2))
        assert first[:4] == (b"\x89PNG" if ending == "png" else b"<?xm")
        assert ending == "svg" or first == second
    assert colour_of("audio") != colour_of("visual") != colour_of("all")
    assert colour_of("touch", ("touch", "words")) != colour_of("words", ("touch", "words"))
