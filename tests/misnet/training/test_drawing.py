"""What a layer draws while it trains: the same in a run that was stopped, another in a run of another seed."""

import numpy as np
import pytest

from misnet.training.run import Run, Stopped
from misnet.training.step import Diverged, Totals, train_step
from snncore import functions as F
from snncore import manual_seed, named_rng, nn
from snncore.checkpoint import load_checkpoint
from snncore.optim import SGD
from snncore.schedules import Constant
from tests.misnet.tiny_run import StopAfter
from tests.misnet.toys import one_stream

CONFIG = one_stream.Config(classes=3, size=2, width=8)


class Dropping(one_stream.build):
    """The toy of one stream, which drops half of its hidden units in training."""

    def __init__(self, seed=0):
        super().__init__(CONFIG, seed)
        self.dropout = nn.Dropout(0.5, shared_over_time=False)

    def forward(self, x):
        x = x.mean(0).reshape(x.shape[1], 4)
        return {"digit": self.out(self.dropout(F.ReLU()(self.hidden(x))))}


class Batches:
    """`number` batches of four samples, the same in each epoch."""

    def __init__(self, number):
        rng = named_rng(0, "drawing")
        self.made = [
            (rng.standard_normal((2, 4, 2, 2, 1)).astype(np.float32), rng.integers(0, 3, 4)) for _ in range(number)
        ]

    def __len__(self):
        return len(self.made)

    def epoch(self, number, start_batch=0):
        yield from self.made[start_batch:]


def make_run(folder, seed=0, **options):
    """Two epochs of three training batches and a test batch, on the same first weights whatever the seed."""
    model = Dropping()
    optimizer = SGD(model.named_parameters(), 0.1, momentum=0.9)
    settings = {"log": lambda line: None, "seed": seed} | options
    return Run(folder, model, optimizer, Constant(0.1), Batches(3), Batches(1), 2, **settings)


def state(folder):
    arrays, metadata = load_checkpoint(folder / "last.safetensors")
    return {name: x.tobytes() for name, x in arrays.items()}, [row["train_loss"] for row in metadata["rows"]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The state of a run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    make_run(folder, seed=3).run()
    return state(folder)


@pytest.mark.parametrize("batches", range(1, 9))
def test_stopped_after_any_batch_and_resumed_it_draws_the_same(whole, tmp_path, batches):
    with pytest.raises(Stopped):
        make_run(tmp_path, seed=3, stop=StopAfter(batches)).run()
    manual_seed(99)  # the stream of another process stands elsewhere
    second = make_run(tmp_path, seed=3)
    second.resume()
    second.run()
    assert state(tmp_path) == whole


@pytest.mark.parametrize("options", [{"seed": 4}, {}])
def test_another_seed_draws_otherwise(whole, tmp_path, options):
    """From the same weights, on the same batches."""
    make_run(tmp_path, **options).run()
    arrays, losses = state(tmp_path)
    assert arrays.keys() == whole[0].keys()
    assert losses != whole[1]
    assert arrays["model/hidden.weight"] != whole[0]["model/hidden.weight"]


def test_every_step_draws_otherwise():
    """At rate 0 the weights do not change: only the dropped units do."""
    model = Dropping()
    optimizer, (batch,) = SGD(model.named_parameters(), 0.0), Batches(1).made
    first, other, again = (train_step(model, optimizer, 0.0, batch, Totals(), step, seed=5) for step in (0, 1, 0))
    assert first == again != other


@pytest.mark.parametrize("step", [0, 5])
def test_what_a_refused_step_drew_is_drawn_again_to_find_the_fault(monkeypatch, step):
    model, keys = Dropping(), []
    model.hidden.weight.data[...] = model.out.weight.data[...] = 1e30  # times each other no float32
    forward = F.Dropout.forward

    def noted(self, x):
        keys.append(self.key)
        return forward(self, x)

    monkeypatch.setattr(F.Dropout, "forward", noted)
    with pytest.raises(Diverged, match=f"step {step}: .*output of layer out"):
        train_step(model, SGD(model.named_parameters(), 0.1), 0.1, Batches(1).made[0], Totals(), step, seed=6)
    assert keys == [(6, "step", step, "dropout", 0, None, "dropout")] * 2
