"""Training that is spread over ranks is the training of one rank with the same batches."""

import numpy as np
import pytest

from misnet import MISNet
from misnet.training.accumulate import accumulated_step
from misnet.training.ranks import share_of
from misnet.training.run import Run, Stopped
from misnet.training.state import load_newest
from misnet.training.step import Diverged, train_step
from misnet.training.totals import Totals
from snncore import arithmetic, observe
from snncore.kernels.choice import use_kernels
from snncore.optim import OPTIMIZERS
from snncore.parallel import Comm, slice_of
from snncore.rng import named_rng
from snncore.schedules import Cosine
from tests.misnet.tiny import copy_of, double_model, make_batch, tiny_config
from tests.misnet.tiny_run import StopAfter, without_times
from tests.support.ranks import on_ranks

SAMPLES, SIZE = 11, 5  # batches of 5, 5 and 1: three ranks have 1, 2 and 2 samples, and all have the last one


@pytest.fixture(autouse=True)
def reference_kernels(monkeypatch):
    """The compiled ones may not run on two threads at once."""
    monkeypatch.setenv("SNNCORE_KERNELS", "reference")


class Sliced:
    """Batches of which a rank has its slice; seen: the sample numbers that it got, by epoch and batch."""

    def __init__(self, config, samples, size, comm, dtype=np.float64, seed=5):
        self.arrays, self.size, self.comm, self.seen = make_batch(config, samples, dtype, seed), size, comm, {}

    def __len__(self):
        return -(-len(self.arrays[2]) // self.size)

    def samples_in(self, batch):
        return min(self.size, len(self.arrays[2]) - batch * self.size)

    def epoch(self, number, start_batch=0):
        order = named_rng(0, "shuffle", number).permutation(len(self.arrays[2]))
        x_a, x_v, labels = self.arrays
        for k in range(start_batch, len(self)):
            batch = order[k * self.size : (k + 1) * self.size]
            i = batch[slice_of(len(batch), self.comm.rank, self.comm.size)]
            self.seen[number, k] = i.tolist()
            yield x_a[:, i], x_v[:, i], labels[i]


class Losses(Run):
    """Keeps the loss of each step."""

    def _train_step(self, batch):
        before = self.totals.loss, self.totals.samples
        super()._train_step(batch)
        self.losses = [*getattr(self, "losses", []), (self.totals.loss - before[0], self.totals.samples - before[1])]


def run_of(folder, comm, epochs=2, samples=SAMPLES, size=SIZE, switches=None, synchronised=True, **options):
    config = tiny_config(timesteps=2, **(switches or {}))
    model = double_model(config)
    name = options.pop("optimizer", "adam")
    train = Sliced(config, samples, size, comm)
    folder.mkdir(exist_ok=True)
    return Losses(
        folder=folder,
        model=model,
        optimizer=OPTIMIZERS[name](model.named_parameters(), 1e-2),
        schedule=Cosine(1e-2, epochs * len(train)),
        train=train,
        test=Sliced(config, 7, 4, comm, seed=6),
        epochs=epochs,
        log=options.pop("log", lambda line: None),
        comm=comm,
        synchronised=synchronised,
        seed=3,
        **options,
    )


def trained(folder, comm, **options):
    run = run_of(folder, comm, **options)
    run.join()
    run.run()
    return run


def spread(folder, ranks, **options):
    return on_ranks(ranks, lambda comm: trained(folder, comm, **options))


def close(found, expected, rtol=1e-10):
    assert found.keys() == expected.keys()
    for name, x in expected.items():
        np.testing.assert_allclose(found[name], x, rtol=rtol, atol=rtol, err_msg=name)


@pytest.mark.parametrize("ranks", [2, 3])
def test_fifty_steps_on_ranks_are_those_of_one(tmp_path, ranks):
    settings = {"epochs": 17}  # of 3 steps
    one = trained(tmp_path / "one", Comm(), **settings)
    many = spread(tmp_path / "many", ranks, **settings)
    start = double_model(tiny_config(timesteps=2)).state_dict()
    assert len(one.losses) == 51
    assert max(abs(x - start[name]).max() for name, x in one.model.state_dict().items()) > 0.1
    for run in many:
        close(run.model.state_dict(), one.model.state_dict())
        for name, x in many[0].model.state_dict().items():
            np.testing.assert_array_equal(run.model.state_dict()[name], x, err_msg=name)
    losses = np.array([[loss for loss, _ in run.losses] for run in many]).sum(axis=0)
    np.testing.assert_allclose(losses, [loss for loss, _ in one.losses], rtol=1e-10)
    found, expected = (without_times(run.rows) for run in (many[0], one))
    for row, right in zip(found, expected, strict=True):
        assert row == pytest.approx(right, rel=1e-10)
        assert row["train_firing_rate"] == right["train_firing_rate"]


def test_no_sample_is_lost_or_seen_twice(tmp_path):
    one = trained(tmp_path / "one", Comm(), epochs=2)
    many = spread(tmp_path / "many", 3, epochs=2)
    for place, samples in one.train.seen.items():
        of_ranks = [run.train.seen[place] for run in many]
        assert of_ranks == [samples] * 3 if len(samples) == 1 else sum(of_ranks, []) == samples
    assert [len(run.train.seen[0, 0]) for run in many] == [1, 2, 2]


@pytest.mark.parametrize(
    "switches", [{"dropout": 0.3}, {"loss": "cross-entropy", "mlif_fusion": "mlp"}], ids=["dropout", "mlp"]
)
def test_other_networks(tmp_path, switches):
    one = trained(tmp_path / "one", Comm(), switches=switches, clip_norm=0.1, optimizer="sgd")
    close(spread(tmp_path / "many", 2, switches=switches, clip_norm=0.1, optimizer="sgd")[1].model.state_dict(),
          one.model.state_dict())  # fmt: skip


def test_statistics_of_each_rank_give_other_weights_but_the_same_on_all(tmp_path):
    one = trained(tmp_path / "one", Comm())
    first, second = spread(tmp_path / "many", 2, synchronised=False)
    for name, x in first.model.state_dict().items():
        np.testing.assert_array_equal(second.model.state_dict()[name], x, err_msg=name)
    off = max(abs(x - one.model.state_dict()[name]).max() for name, x in first.model.state_dict().items())
    assert off > 1e-3
