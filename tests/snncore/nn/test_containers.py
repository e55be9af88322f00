"""Chains, lists and dicts of modules."""

import numpy as np
import pytest

from snncore import nn


def test_lists_and_dicts_of_modules_are_walked_like_lists_and_dicts():
    blocks = [nn.Linear(1, 1), nn.Linear(1, 2)]
    modules = nn.ModuleList(blocks)
    assert list(modules) == blocks
    assert len(modules) == 2
    assert modules[-1] is blocks[1]
    assert modules[:1] == blocks[:1]
    assert [name for name, _ in modules.children()] == ["0", "1"]
    named = nn.ModuleDict({"a": blocks[0], "v": blocks[1]})
    assert list(named) == ["a", "v"]
    assert len(named) == 2
    assert ("a" in named, "b" in named) == (True, False)
    assert named["v"] is blocks[1]
    assert named.a is blocks[0]
    with pytest.raises(KeyError, match="training"):
        named["training"]


def test_modules_are_added_at_the_end_and_found_by_name():
    for modules in (nn.ModuleList([]), nn.Sequential()):
        for n in range(12):
            modules.append(nn.Linear(n + 1, n + 2, bias=False))
        assert len(modules) == 12
        assert [name for name, _ in modules.named_parameters()] == [f"{n}.weight" for n in range(12)]
        assert modules[11].weight.shape == (12, 13)


def test_sequential_takes_modules_one_by_one_or_in_a_list(rng):
    first, second = nn.Linear(3, 4, rng=rng), nn.Linear(4, 2, rng=rng)
    x = rng.standard_normal((5, 3)).astype(np.float32)
    expected = second(first(x)).data
    for net in (
        nn.Sequential(first, second),
        nn.Sequential([first, second]),
        nn.Sequential(m for m in (first, second)),
        nn.Sequential(nn.ModuleList([first, second])),
        nn.Sequential(nn.Sequential(first, second)),
    ):
        np.testing.assert_array_equal(net(x).data, expected)
    assert nn.Sequential()(x) is x
    net = nn.Sequential([first, second])
    assert (len(net), list(net), net[0], net[-1]) == (2, [first, second], first, second)
    assert [name for name, _ in nn.Sequential(net).named_modules()] == ["", "0", "0.0", "0.1"]


def test_a_module_put_in_the_place_of_another_runs():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    setattr(net, "1", nn.Linear(2, 7))
    assert net(np.ones((1, 2), np.float32)).shape == (1, 7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Sequential(nn.ReLU(), "relu"), "Sequential: expected modules, found str at place 1"),
        (lambda: nn.ModuleList([nn.ReLU]), "ModuleList: expected modules, found type at place 0"),
        (lambda: nn.ModuleDict({"a": 1}), "ModuleDict: expected modules, found int under 'a'"),
        (lambda: nn.ModuleList([]).append(1), r"ModuleList\.append: expected a module, found int"),
    ],
)
def test_what_is_no_module_is_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize("name", ["train", "forward", "dtype"])
def test_a_name_that_modules_use_themselves_is_refused(name):
    with pytest.raises(ValueError, match=f"ModuleDict: expected names .* found '{name}'"):
        nn.ModuleDict({name: nn.ReLU()})


def test_names_with_a_dot_or_of_another_type_are_refused():
    """A dot stands between a module and its parts: a.b.weight would belong to two."""
    for name in ("a.b", "", 1):
        with pytest.raises(ValueError, match=f"ModuleDict: expected names without a dot, found {name!r}"):
            nn.ModuleDict({name: nn.LIF()})
    with pytest.raises(TypeError, match="ModuleDict: expected modules by name, found a list"):
        nn.ModuleDict([nn.LIF()])
