"""Weights in PyTorch's layout: entry by entry, there and back bit for bit, and what does not fit is listed."""

import numpy as np
import pytest

from snncore import nn
from snncore.interchange import InterchangeError, from_torch_layout, in_torch_layout


def network():
    layers = nn.Conv2d(2, 3, (3, 2)), nn.GroupedConv2d(4, 6, 3, groups=2), nn.Conv1d(2, 5, 3), nn.Linear(4, 7)
    return nn.Sequential(*layers, nn.BatchNorm(3), nn.PLIF(), nn.LayerNorm(4))


def test_axes_are_those_of_pytorch():
    ours = network()
    found = in_torch_layout(ours)
    shapes = {"0.weight": (3, 2, 3, 2), "1.weight": (6, 2, 3, 3), "2.weight": (5, 2, 3), "3.weight": (7, 4)}
    assert {name: found[name].shape for name in shapes} == shapes
    w, v = ours[0].weight.data, found["0.weight"]
    assert all(v[o, i, y, x] == w[y, x, i, o] for o, i, y, x in np.ndindex(v.shape))
    w, v = ours[2].weight.data, found["2.weight"]
    assert all(v[o, i, k] == w[k, i, o] for o, i, k in np.ndindex(v.shape))
    assert found["4.num_batches_tracked"] == 0
    assert list(found)[-3:] == ["5.w", "6.weight", "6.bias"]
    found["0.weight"][...] = 0
    assert ours[0].weight.data.any()  # a copy


def test_there_and_back():
    ours = network()
    back = from_torch_layout(ours, {name: x.astype(np.float64) for name, x in in_torch_layout(ours).items()})
    for name, x in ours.state_dict().items():
        np.testing.assert_array_equal(back[name], x)
        assert back[name].dtype == x.dtype


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.pop("3.bias"), "3.bias is missing"),
        (lambda a: a.update({"0.weight": a["0.weight"].T}), r"0\.weight has the shape \(2, 3, 2, 3\), expected \(3, 2"),
        (lambda a: a.update({"extra": np.zeros(2)}), "extra has no place in the network"),
        (lambda a: a.update({"3.bias": np.full(7, np.inf)}), r"3\.bias has values that are not finite"),
        (lambda a: a.update({"3.bias": np.arange(7)}), r"3\.bias is of type int64, expected float32"),
    ],
)
def test_what_does_not_fit_is_listed(change, words):
    ours = network()
    arrays = in_torch_layout(ours)
    change(arrays)
    with pytest.raises(InterchangeError, match=f"^w.pt: expected the weights of another network: .*{words}"):
        from_torch_layout(ours, arrays, "w.pt")
