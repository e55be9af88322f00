"""The contract: configurations that fit themselves to data, streams by name, and what does not fit is one sentence."""

import re
from dataclasses import dataclass

import numpy as np
import pytest

from misnet import ConfigError, MISNet, MISNetConfig
from misnet.datasets import Batch, BatchIterator, load_dataset
from misnet.models import registry
from misnet.models.config import ModelConfig, switch
from misnet.models.contract import check_fits, sizes, take
from misnet.training.step import Totals, evaluate, train_step
from snncore import Tensor
from snncore.optim import Adam
from tests.misnet.tiny import tiny_config
from tests.misnet.toys import one_stream, three_streams
from tests.misnet.toys.data import Triple


@pytest.fixture(scope="module")
def dialpad():
    return load_dataset("dialpad", "test", timesteps=3, size=9, limit=12)


def test_a_configuration_fits_itself_to_the_data(dialpad):
    config = MISNetConfig(variant="XS", channels=(2, 3), cells=(1, 1), tau=3.0).fit(dialpad)
    assert (config.size, config.timesteps, config.classes) == (9, 3, 10)
    assert (config.audio_channels, config.visual_channels, config.tau) == (1, 1, 3.0)
    check_fits(config, dialpad)
    assert dict(dialpad.streams) == config.shapes()
    assert three_streams.Config().fit(Triple("train", 4, 1)).entries == (5, 6, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 10}, "size: the network has 10, dialpad has 9"),
        ({"timesteps": 2}, "timesteps: the network has 2, dialpad has 3"),
        ({"classes": 9}, "classes: the network has 9, dialpad has 10"),
        ({"audio_channels": 2}, "audio_channels: the network has 2, dialpad has 1"),
    ],
)
def test_what_does_not_fit_is_named(dialpad, changes, message):
    right = {"size": 9, "timesteps": 3, "classes": 10, "visual_channels": 1}
    with pytest.raises(ConfigError, match=f"^{message}$"):
        check_fits(tiny_config(**right | changes), dialpad)


def test_a_stream_that_is_wanted_and_missing_is_named(dialpad):
    with pytest.raises(ConfigError, match="dialpad: the network takes the stream 'touch', the data set offers 'audio'"):
        three_streams.Config().fit(dialpad)
    batch = Batch({"audio": np.zeros((2, 3, 8, 8, 1), np.float32)}, np.zeros(3, int))
    with pytest.raises(ConfigError, match="MISNet-XS takes the stream 'visual', the batch has audio"):
        take(MISNet(tiny_config()), batch)


def test_data_that_misnet_cannot_take_are_refused():
    class Oblong(Triple):
        streams = {"audio": (2, 8, 8, 1), "visual": (2, 8, 6, 3)}  # noqa: RUF012

    message = r"triple: MISNet takes two square inputs of one size, found \(2, 8, 8, 1\) and \(2, 8, 6, 3\)"
    with pytest.raises(ConfigError, match=message):
        MISNetConfig().fit(Oblong("train", 2, 1))


def test_streams_are_taken_by_name_in_the_order_of_the_network(dialpad):
    batch = next(iter(BatchIterator(dialpad, 5, shuffle=False).epoch(0)))
    turned = Batch(dict(reversed(batch.streams.items())) | {"more": np.zeros(1)}, batch.labels)
    model = MISNet(tiny_config())
    for found in (take(model, batch), take(model, turned), take(model, tuple(batch))):
        assert [x is y for x, y in zip(found, batch, strict=True)] == [True] * 3
    visual, labels = take(one_stream.build(one_stream.Config()), batch)
    assert visual is batch.streams["visual"]
    assert labels is batch.labels


def test_batches_by_name_train_and_evaluate_as_tuples_do(dialpad):
    config = tiny_config(timesteps=3, visual_channels=1, classes=10, size=9)
    batches = list(BatchIterator(dialpad, 5, shuffle=False).epoch(0))
    ends = []
    for form in (lambda batch: batch, tuple):
        model, totals = MISNet(config), Totals()
        optimizer = Adam(model.parameters(), 1e-2)
        for step, batch in enumerate(batches):
            train_step(model, optimizer, 1e-2, form(batch), totals, step)
        tested = evaluate(model, [form(batch) for batch in batches])
        ends.append((model.state_dict(), totals, tested))
    assert ends[0][1:] == ends[1][1:]
    for name, x in ends[0][0].items():
        np.testing.assert_array_equal(ends[1][0][name], x, err_msg=name)


def test_every_model_checks_its_streams_before_anything_runs():
    model = three_streams.build(three_streams.Config(entries=(5, 6, 7), timesteps=2))
    shapes = ((2, 3, 5), (2, 3, 6), (2, 3, 7))

    def call(*changed):
        return model(*(Tensor(np.zeros(shape, np.float32)) for shape in changed))

    assert {head: x.shape for head, x in call(*shapes).items()} == {"all": (3, 2), "touch": (3, 2)}
    before = {name: x.copy() for name, x in model.state_dict().items()}
    for changed, message in (
        (((2, 3, 5), (2, 3, 6), (2, 4, 7)), "samples N in every stream, found touch (2, 3, 5) and words (2, 4, 7)"),
        (((2, 3, 5), (1, 3, 6), (2, 3, 7)), "found touch (2, 3, 5) and visual (1, 3, 6)"),
        (((2, 3, 5), (2, 3, 7), (2, 3, 7)), "visual input: expected [T, N, 6], found (2, 3, 7)"),
        (((2, 3, 5), (3, 6), (2, 3, 7)), "visual input: expected [T, N, 6], found (3, 6)"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            call(*changed)
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x, before[name], err_msg=name)


def test_sizes_in_words():
    assert sizes(tiny_config(size=8)) == "8x8"
    assert sizes(three_streams.Config(entries=(5, 6, 5))) == "5, 6"


@dataclass(frozen=True)
class Kinds(ModelConfig):
    """A switch of every kind."""

    classes: int = switch(2, "c")
    timesteps: int = switch(1, "t")
    flag: bool = switch(True, "f")
    rate: float = switch(0.5, "r")
    name: str = switch("a", "n", ("a", "b"))
    sizes: tuple[int, ...] | None = switch(None, "s")

    def check(self):
        self.require("rate", self.rate < 1, "a number below 1")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"flag": 1}, "flag: a value of the wrong type: expected true or false, found 1"),
        ({"rate": "x"}, "rate: a value of the wrong type: expected a number, found 'x'"),
        ({"rate": float("nan")}, "rate: expected a finite number, found nan"),
        ({"rate": 1}, "rate: expected a number below 1, found 1"),
        ({"name": "c"}, "name: expected one of a, b, found 'c'"),
        ({"sizes": (3, True)}, "sizes: a value of the wrong type: expected a list of integers, found (3, True)"),
        ({"classes": 2**31}, "classes: expected integers below 2147483648, found 2147483648"),
        ({"sizes": 3}, "sizes: a value of the wrong type: expected a list of integers, found 3"),
        ({"classes": 0}, "classes: expected a positive integer, found 0"),
        ({"timesteps": True}, "timesteps: a value of the wrong type: expected an integer, found True"),
        ({"colour": 1}, "unknown switch colour; known are classes, flag, name, rate, sizes, timesteps"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(values, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        Kinds.from_dict(values)


def test_a_configuration_comes_back_from_plain_values():
    config = Kinds(rate=0.25, sizes=(1, 2))
    assert config.to_dict()["sizes"] == [1, 2]
    assert Kinds.from_dict(config.to_dict()) == config
    assert (config.size, config.title) == (None, "Kinds")


def test_the_registry_knows_models_by_name(monkeypatch):
    monkeypatch.setattr(registry, "MODELS", dict(registry.MODELS))
    registry.register("mine", "tests.misnet.toys.one_stream", "a toy")
    config = registry.config_class("mine")(width=3)
    first, same, other = (registry.build("mine", config, seed) for seed in (1, 1, 2))
    assert (first.hidden.weight.data == same.hidden.weight.data).all()
    assert (first.hidden.weight.data != other.hidden.weight.data).any()
    assert isinstance(registry.build("misnet", tiny_config()), MISNet)
    with pytest.raises(ConfigError, match=r"model: expected one of misnet, .*mine, found 'other'"):
        registry.config_class("other")
