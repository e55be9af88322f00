"""Training that is spread over ranks is the training of one rank with the same batches."""

import itertools
from contextlib import contextmanager

import numpy as np
import pytest

from misnet import MISNet
from misnet.training.accumulate import parts_on_ranks
from misnet.training.ranks import share_of
from misnet.training.run import Run, Stopped
from misnet.training.step import Diverged, train_step
from misnet.training.totals import Totals
from snncore import arithmetic, observe, overlap, parallel
from snncore.optim import OPTIMIZERS, SGD
from snncore.parallel import Comm, Share, slice_of
from snncore.rng import named_rng
from snncore.schedules import Cosine
from tests.misnet.tiny import double_model, make_batch, tiny_config
from tests.misnet.tiny_run import StopAfter, without_times
from tests.support.ranks import on_ranks

SAMPLES, SIZE = 11, 5  # batches of 5, 5 and 1: three ranks have 1, 2 and 2 samples of five, and all have the last


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


FIFTY = {"epochs": 6, "samples": 41}  # of 9 steps, the last of one sample


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SNNCORE_KERNELS", "reference")
        return trained(tmp_path_factory.mktemp("one"), Comm(), **FIFTY)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 3])
def test_fifty_steps_on_ranks_are_those_of_one(tmp_path, alone, ranks):
    many = spread(tmp_path / "many", ranks, **FIFTY)
    start = double_model(tiny_config(timesteps=2)).state_dict()
    assert len(alone.losses) == 54
    assert max(abs(x - start[name]).max() for name, x in alone.model.state_dict().items()) > 0.1
    close(many[0].model.state_dict(), alone.model.state_dict())
    for run in many:
        for name, x in many[0].model.state_dict().items():
            np.testing.assert_array_equal(run.model.state_dict()[name], x, err_msg=name)
    losses = np.array([[loss for loss, _ in run.losses] for run in many]).sum(axis=0)
    np.testing.assert_allclose(losses, [loss for loss, _ in alone.losses], rtol=1e-10)
    for row, right in zip(*(without_times(run.rows) for run in (many[0], alone)), strict=True):
        assert row == pytest.approx(right, rel=1e-10)
        assert row["train_firing_rate"] == right["train_firing_rate"]


def test_no_sample_is_lost_or_seen_twice(tmp_path):
    one = trained(tmp_path / "one", Comm(), epochs=2)
    many = spread(tmp_path / "many", 3, epochs=2)
    for place, samples in one.train.seen.items():
        of_ranks = [run.train.seen[place] for run in many]
        assert of_ranks == [samples] * 3 if len(samples) == 1 else list(itertools.chain(*of_ranks)) == samples
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


@contextmanager
def spikes_of(found):
    def look(function, inputs, outputs):
        found.extend(y.copy() for y in outputs if y.dtype == np.uint8)

    with observe(look):
        yield


def exact_step(comm, batch, config, steps=3):
    """Spikes of each neuron in the first step, and the weights after some: float32, exact sums."""
    model, n = MISNet(config, seed=1), len(batch[-1])
    place = slice_of(n, comm.rank, comm.size)
    part = (*(x[:, place] for x in batch[:-1]), batch[-1][place])
    optimizer, found = SGD(model.named_parameters(), 0.05), []
    share = Share(comm, place.start, place.stop, n, synchronised=True)
    with arithmetic("exact"):
        for step in range(steps):
            with spikes_of(found if step == 0 else []):
                train_step(model, optimizer, 0.05, part, Totals(), step, share=share)
    return found, model.state_dict()


def test_exact_sums_fire_the_same_spikes_on_any_number_of_ranks():
    config = tiny_config(timesteps=2)
    batch = make_batch(config, n=7)
    alone, weights = exact_step(Comm(), batch, config)
    assert sum(s.sum() for s in alone) > 50
    for ranks in (2, 3):
        results = on_ranks(ranks, lambda comm: exact_step(comm, batch, config))
        for k, s in enumerate(alone):
            axis = s.ndim - results[0][0][k].ndim + 1
            np.testing.assert_array_equal(np.concatenate([found[k] for found, _ in results], axis), s)
        for name, x in weights.items():
            np.testing.assert_allclose(results[0][1][name], x, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("place", [4, 5])
def test_a_stop_that_one_rank_is_asked_for_stops_all_and_another_number_goes_on(tmp_path, place):
    """Batch 4 is of the second epoch, 5 of the evaluation in between or after it."""
    one = trained(tmp_path / "one", Comm())

    def stopped(comm):
        run = run_of(tmp_path / "many", comm, stop=StopAfter(place) if comm.rank == 1 else lambda: False)
        with pytest.raises(Stopped):
            run.run()
        return run.epoch, run.batch

    assert len(set(on_ranks(3, stopped))) == 1

    def resumed(comm):
        run = run_of(tmp_path / "many", comm)
        if comm.rank == 0:
            run.resume()
        run.join()
        run.run()
        return run

    again = on_ranks(2, resumed)
    for run in again:
        close(run.model.state_dict(), one.model.state_dict())
    for row, right in zip(*(without_times(run.rows) for run in (again[0], one)), strict=True):
        assert row == pytest.approx(right, rel=1e-10)


@pytest.mark.parametrize("bad", [0, 1])
def test_what_is_not_finite_on_one_rank_is_refused_by_all_and_named(bad):
    config = tiny_config(timesteps=2)
    batch = make_batch(config, n=4, dtype=np.float64)
    batch[0][0, 2 * bad + 1, 0, 0, 0] = np.nan

    def step(comm):
        model = double_model(config)
        before = {name: x.copy() for name, x in model.state_dict().items()}
        place = slice_of(4, comm.rank, 2)
        part = (*(x[:, place] for x in batch[:-1]), batch[-1][place])
        share = share_of(comm, place.start, place.stop, 4, True)
        with pytest.raises(Diverged) as error:
            train_step(model, SGD(model.named_parameters(), 0.1), 0.1, part, Totals(), 7, share=share)
        for name, x in model.state_dict().items():
            np.testing.assert_array_equal(x, before[name], err_msg=name)
        return str(error.value)

    (first, second), rest = on_ranks(2, step), f"first not finite: audio input (on rank {bad})"
    assert first == second == f"step 7: the loss is {first.split()[5]} but not all else is; {rest}"  # spikes hide it


def test_only_the_first_rank_writes_and_speaks(tmp_path):
    def train(comm):
        run = run_of(tmp_path / f"rank{comm.rank}", comm, log=lines[comm.rank].append)
        run.run()

    lines = [[], []]
    on_ranks(2, train)
    assert [len(said) for said in lines] == [2, 0]
    assert list((tmp_path / "rank1").iterdir()) == []
    assert (tmp_path / "rank0" / "last.safetensors").exists()


def test_ranks_with_other_weights_are_found_when_they_save(tmp_path):
    def train(comm):
        run = run_of(tmp_path / "run", comm)
        next(iter(run.model.parameters())).data[...] += 1e-12 * comm.rank
        run.run()

    with pytest.raises(Diverged, match=r"epoch 2, batch 1: \S+ is not the same on all ranks"):
        on_ranks(2, train)


@pytest.mark.parametrize(
    "more", [{}, {"accumulate": 2}, {"clip_norm": 0.1}, {"optimizer": "sgd", "synchronised": False}]
)
def test_gradients_that_travel_during_backward_are_the_same_bits(tmp_path, monkeypatch, more):
    """Of 3 ranks, with many buckets; every parameter and average after each step, and a batch that all have whole."""
    monkeypatch.setattr(parallel, "BUCKET", 256)
    made = []
    monkeypatch.setattr(overlap, "buckets_of", lambda *a: made.append(parallel.buckets_of(*a)) or made[-1])
    found = {}
    for overlaps in (True, False):
        monkeypatch.setattr(Comm, "overlaps", overlaps)
        made.clear()
        found[overlaps] = spread(tmp_path / str(overlaps), 3, **more)
        assert [len(slices) > 4 for slices in made] == ([True] * 12 if overlaps else [])  # 2 of 3 steps of 2 epochs
    for run, right in zip(found[True], found[False], strict=True):
        for of_run, expected in zip(
            (run.model.state_dict(), run.optimizer.state_dict()),
            (right.model.state_dict(), right.optimizer.state_dict()),
            strict=True,
        ):
            for name, x in expected.items():
                np.testing.assert_array_equal(of_run[name], x, err_msg=name)


def test_several_ranks_use_no_cuda_graph_which_would_train_each_alone(tmp_path):
    plain, graphed = (spread(tmp_path / str(on), 2, cuda_graph=on)[1] for on in (False, True))
    for name, x in plain.model.state_dict().items():
        np.testing.assert_array_equal(graphed.model.state_dict()[name], x, err_msg=name)


def test_a_batch_in_parts_on_ranks_is_the_batch_in_parts(tmp_path):
    """Of 5 samples rank 0 has parts of 1 and 1, rank 1 parts of 2 and 1: batch norms see 3, and then 2."""
    shares = [parts_on_ranks(n, 2, Share(_Rank(r, 2), 0, n, 5, True)) for r, n in enumerate((2, 3))]
    assert [[(p.start, p.stop) for p, _ in found] for found in shares] == [[(0, 1), (1, 2)], [(0, 2), (2, 3)]]
    assert [[(s.start, s.stop, s.total) for _, s in found] for found in shares] == [
        [(0, 1, 3), (0, 1, 2)],
        [(1, 3, 3), (1, 2, 2)],
    ]
    first, second = spread(tmp_path / "many", 2, accumulate=2)
    for name, x in first.model.state_dict().items():
        np.testing.assert_array_equal(second.model.state_dict()[name], x, err_msg=name)


class _Rank(Comm):
    def __init__(self, rank, size):
        self.rank, self.size = rank, size
