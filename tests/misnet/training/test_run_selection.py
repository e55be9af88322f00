"""A run that holds out validation samples, ends early, or clips its gradients."""

import numpy as np
import pytest

from misnet.training.run import Stopped
from misnet.training.totals import Totals
from snncore.checkpoint import load_checkpoint
from tests.misnet.tiny import tiny_config
from tests.misnet.tiny_run import Batches, StopAfter, make_run, read_metrics, without_times

CONFIG = tiny_config(timesteps=2)


def validation(seed=7):
    return Batches(CONFIG, 6, 4, shuffle=False, seed=seed)


def weights(folder, name="last"):
    arrays, metadata = load_checkpoint(folder / f"{name}.safetensors")
    return {k: x for k, x in arrays.items() if k.startswith("model/")}, metadata


def test_validation_chooses_the_best_epoch_and_changes_no_weight(tmp_path):
    plain, run = make_run(tmp_path / "plain", epochs=3), make_run(tmp_path / "val", epochs=3, val=validation())
    plain.run()
    run.run()
    (x, _), (y, _) = weights(tmp_path / "plain"), weights(tmp_path / "val")
    assert x.keys() == y.keys()
    assert all(np.array_equal(x[name], y[name]) for name in x)
    columns = list(run.rows[0])
    assert [name for name in columns if name not in plain.rows[0]] == [
        "val_loss",
        "val_accuracy_av",
        "val_accuracy_a",
        "val_accuracy_v",
        "val_firing_rate",
    ]


def test_best_is_the_epoch_that_validation_likes_best(tmp_path):
    run = make_run(tmp_path, epochs=3, val=validation())
    right = {"val": iter([2, 7, 4]), "test": iter([9, 3, 5])}
    run._evaluate = lambda part, data: Totals(10, 1.0, {"av": next(right[part]), "a": 0, "v": 0})
    run.run()
    _, metadata = weights(tmp_path, "best")
    assert (metadata["epoch"], run.best) == (2, 0.7)


@pytest.mark.parametrize("batches", [5, 6, 7, 12])  # in the test, in validation, after it, in the second epoch
def test_stopped_in_validation_too_it_ends_the_same(tmp_path, batches):
    whole = make_run(tmp_path / "whole", val=validation())
    whole.run()
    with pytest.raises(Stopped):
        make_run(tmp_path / "parts", val=validation(), stop=StopAfter(batches)).run()
    run = make_run(tmp_path / "parts", val=validation())
    run.resume()
    run.run()
    assert without_times(read_metrics(tmp_path / "parts")) == without_times(read_metrics(tmp_path / "whole"))
    (x, _), (y, _) = weights(tmp_path / "parts"), weights(tmp_path / "whole")
    assert all(np.array_equal(x[name], y[name]) for name in x)


def test_it_ends_once_patience_does_and_stays_ended(tmp_path):
    run = make_run(tmp_path, epochs=9, lr=0, val=validation(), patience=2)  # nothing changes: the first epoch is best
    run.run()
    assert (run.epoch, run.finished) == (3, True)
    again = make_run(tmp_path, epochs=9, lr=0, val=validation(), patience=2)
    again.resume()
    again.run()
    assert len(read_metrics(tmp_path)) == 3
    longer = make_run(tmp_path, epochs=9, lr=0, val=validation(), patience=4)
    longer.resume()
    longer.run()
    assert len(read_metrics(tmp_path)) == 5


@pytest.mark.parametrize("accumulate", [1, 2])
def test_clipping_limits_the_step_of_sgd(tmp_path, accumulate):
    largest = {}
    for clip in (None, 1e-3):
        run = make_run(tmp_path / str(clip), optimizer="sgd", epochs=1, lr=1.0, accumulate=accumulate, clip_norm=clip)
        run.optimizer.momentum = 0.0
        before = {name: p.data.copy() for name, p in run.model.named_parameters()}
        run._train_step(next(run.train.epoch(0)))
        moved = [p.data - before[name] for name, p in run.model.named_parameters()]
        largest[clip] = np.sqrt(sum(float(np.sum(np.square(x, dtype=np.float64))) for x in moved))
    rate = run.schedule(0)
    assert largest[1e-3] == pytest.approx(1e-3 * rate, rel=1e-4)
    assert largest[None] > 0.01 * rate
