"""The pictures can be read, have a sensible size, and show the data."""

import numpy as np
import pytest
from PIL import Image

from misnet import MISNet
from misnet.training.plots import accuracy_axis, make_figure, plot_confusion, plot_curves

NAMES = ("loss", "accuracy_av", "accuracy_a", "accuracy_v", "firing_rate")


def make_rows(epochs):
    return [
        {"epoch": e + 1}
        | {f"{split}_{name}": 0.5 / (e + 1 + i) for split in ("train", "test") for i, name in enumerate(NAMES)}
        for e in range(epochs)
    ]


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("epochs", [1, 5])
def test_curves_are_a_picture_with_three_panels(tmp_path, epochs):
    plot_curves(make_rows(epochs), tmp_path / "curves.png", MISNet.heads)
    x = pixels(tmp_path / "curves.png")
    assert x.shape == (456, 1560, 3)  # 13 x 3.8 inches at 120 dots
    for panel in np.array_split(x, 3, axis=1):
        assert panel.max() == 255
        coloured = (panel.max(2) - panel.min(2)) > 60
        assert coloured.sum() > 30  # the curves; axes and letters are grey
        assert (panel.max(2) < 80).sum() > 200


def test_another_epoch_changes_the_picture(tmp_path):
    for epochs in (4, 5):
        plot_curves(make_rows(epochs), tmp_path / f"{epochs}.png", MISNet.heads)
    assert (pixels(tmp_path / "4.png") != pixels(tmp_path / "5.png")).mean() > 0.001


def test_a_head_more_is_a_curve_more(tmp_path):
    for heads in ({"v": "one"}, {"v": "one", "a": "two"}):
        plot_curves(make_rows(5), tmp_path / f"{len(heads)}.png", heads)
    assert (pixels(tmp_path / "1.png") != pixels(tmp_path / "2.png")).mean() > 0.001


@pytest.mark.parametrize(
    ("lines", "low", "high"),
    [
        ([[10, 50, 98.5]], 0, 102),
        ([[3.0, 9.0], [1.0, 5.0]], 0, 9.64),  # few percent: seen, not at the bottom
        ([[97.0, 99.0], [98.0, 98.5]], 96.5, 99.5),  # near each other, high: told apart
        ([[6.25, 6.25]], 0, 6.75),
        ([[100.0, 100.0]], 99.5, 100.5),
        ([[0.0, 0.0]], 0, 1),
        ([[np.nan, 50.0]], 49.5, 50.5),
        ([], 0, 102),
    ],
)
def test_the_axis_of_accuracies_shows_differences(lines, low, high):
    _, axes = make_figure(2, 2)
    for values in lines:
        axes.plot(values)
    accuracy_axis(axes)
    assert axes.get_ylim() == pytest.approx((low, high))


@pytest.mark.parametrize("names", ["0123456789", ("dog barking", "siren", "never seen")])
def test_a_confusion_matrix_is_darkest_where_a_class_was_told_right(tmp_path, names):
    n = len(names)
    matrix = np.diag([7] * (n - 1) + [0])  # the last class has no sample
    plot_confusion(matrix, names, tmp_path / "confusion.png", "title")
    x = pixels(tmp_path / "confusion.png")
    assert x.shape[0] == int((3.2 + 0.42 * n) * 120)
    blue = (x[..., 2] - x[..., 0]) > 40
    assert blue.sum() > 500 * (n - 1)
    y, right = np.nonzero(blue[:, : int(0.75 * x.shape[1])])  # without the colour bar
    assert np.corrcoef(y, right)[0, 1] > 0.7  # along the diagonal


def test_an_empty_confusion_matrix_is_drawn(tmp_path):
    plot_confusion(np.zeros((3, 3), int), ("a", "b", "c"), tmp_path / "empty.png", "nothing")
    assert pixels(tmp_path / "empty.png").std() > 5
