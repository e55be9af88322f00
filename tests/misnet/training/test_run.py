"""The run folder, and a stopped run that goes on as if it had never been stopped, bit for bit."""

import numpy as np
import pytest

from misnet.training.run import Run, Stopped
from misnet.training.step import Diverged
from snncore.checkpoint import load_checkpoint
from tests.misnet.tiny_run import StopAfter, make_run, read_metrics, without_times

BATCHES = 2 * (3 + 2)  # two epochs, each of three training and two test batches
ACCURACIES = ("accuracy_av", "accuracy_a", "accuracy_v")


@pytest.fixture(scope="module", params=["adam", "sgd"])
def whole(request, tmp_path_factory):
    """A run that was never stopped."""
    run = make_run(tmp_path_factory.mktemp(request.param), optimizer=request.param)
    run.run()
    run.kind = request.param
    return run


def assert_same_state(folder, other):
    (x, first), (y, second) = (load_checkpoint(f / "last.safetensors") for f in (folder, other))
    assert x.keys() == y.keys()
    for name in x:
        np.testing.assert_array_equal(x[name], y[name], err_msg=name)
    for metadata in (first, second):
        metadata["rows"] = without_times(metadata["rows"])
    assert first == second
    rows = [without_times(read_metrics(f)) for f in (folder, other)]
    assert rows[0] == rows[1]
    assert [row["epoch"] for row in rows[0]] == ["1", "2"]


@pytest.mark.parametrize("batches", range(1, BATCHES + 1))
def test_stopped_after_any_batch_and_resumed_it_ends_the_same(whole, tmp_path, batches):
    first = make_run(tmp_path, optimizer=whole.kind, stop=StopAfter(batches))
    with pytest.raises(Stopped):
        first.run()
    second = make_run(tmp_path, optimizer=whole.kind)
    second.resume()
    epoch, done = divmod(batches - 1, 5)
    assert (second.epoch, second.batch) == (epoch, min(3, done + 1))  # during evaluation, all three are trained
    second.run()
    assert_same_state(tmp_path, whole.folder)


def test_stopped_after_every_batch_it_ends_the_same(whole, tmp_path):
    stops = 0
    while True:
        run = make_run(tmp_path, optimizer=whole.kind, stop=StopAfter(3))  # 3: two test batches must get through
        if stops:
            run.resume()
        try:
            run.run()
        except Stopped:
            stops += 1
            continue
        break
    assert stops >= 3
    assert_same_state(tmp_path, whole.folder)


def test_a_finished_run_resumes_to_nothing(whole, tmp_path):
    before = (whole.folder / "last.safetensors").read_bytes()
    again = make_run(whole.folder, optimizer=whole.kind)
    again.resume()
    again.run()
    assert (again.epoch, again.batch, again.rows) == (2, 0, whole.rows)
    assert (whole.folder / "last.safetensors").read_bytes() == before


def test_metrics_have_a_row_an_epoch_with_every_figure(whole):
    rows = read_metrics(whole.folder)
    names = [f"{s}_{n}" for s in ("train", "test") for n in ("loss", *ACCURACIES, "firing_rate")]
    assert set(rows[0]) == {"epoch", "learning_rate", "samples_per_second", "peak_memory_mib", *names}
    for text, row in zip(rows, whole.rows, strict=True):
        assert {k: float(v) for k, v in text.items()} == row
        assert all(0 <= row[f"test_{n}"] <= 1 for n in (*ACCURACIES, "firing_rate"))
        assert row["samples_per_second"] > 0
    assert rows[1]["learning_rate"] == str(whole.schedule(5))


def test_the_line_of_an_epoch_shows_what_is_in_its_row(tmp_path):
    lines = []
    run = make_run(tmp_path, log=lines.append)
    run.run()
    for line, row in zip(lines, run.rows, strict=True):
        assert line.startswith(f"epoch {row['epoch']}/2  loss {row['train_loss']:.4f}  test ")
        assert f"av {100 * row['test_accuracy_av']:.1f}% a {100 * row['test_accuracy_a']:.1f}%" in line
        assert f"firing rate {row['test_firing_rate']:.3f}" in line


def test_best_holds_the_weights_of_the_first_epoch_with_the_best_accuracy(tmp_path):
    epochs, kept = 6, {}
    run = make_run(tmp_path, epochs=epochs)

    def keep(line):
        kept[run.epoch] = {name: x.copy() for name, x in run.model.state_dict().items()}

    run.log = keep
    run.run()
    accuracies = [row["test_accuracy_av"] for row in run.rows]
    best = 1 + int(np.argmax(accuracies))
    arrays, metadata = load_checkpoint(tmp_path / "best.safetensors")
    assert (metadata["epoch"], metadata["row"]["test_accuracy_av"], run.best) == (
        best,
        max(accuracies),
        max(accuracies),
    )
    for name, x in kept[best].items():
        np.testing.assert_array_equal(arrays[f"model/{name}"], x, err_msg=name)
    assert not any(name.startswith("optimizer/") for name in arrays)


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(tmp_path):
    run = make_run(tmp_path, epochs=1)
    run.run()
    before = (tmp_path / "last.safetensors").read_bytes()
    again = make_run(tmp_path, epochs=2)
    again.resume()
    again.model.head.linear.weight.data[0, 0] = np.nan
    with pytest.raises(Diverged, match=r"^step 3: the loss is nan; .* parameter head\.linear\.weight$"):
        again.run()
    assert (tmp_path / "last.safetensors").read_bytes() == before


def test_a_test_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(tmp_path):
    run = make_run(tmp_path, epochs=1)
    run.run()
    before = (tmp_path / "last.safetensors").read_bytes()
    again = make_run(tmp_path, epochs=2)
    again.resume()
    again.epoch, again.batch = 1, 3  # the second epoch is trained, and about to be evaluated
    again.model.head.linear.bias.data[...] = 1e25
    with np.errstate(over="ignore"), pytest.raises(Diverged, match="epoch 2: the test loss is inf"):
        again.run()
    assert (tmp_path / "last.safetensors").read_bytes() == before


def test_a_run_killed_between_its_checkpoint_and_its_metrics_still_has_every_row(tmp_path, monkeypatch):
    def killed(self):
        raise KeyboardInterrupt

    run = make_run(tmp_path, epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "_write_metrics", killed)
        with pytest.raises(KeyboardInterrupt):
            run.run()
    again = make_run(tmp_path, epochs=1)
    again.resume()
    again.run()
    assert [row["epoch"] for row in read_metrics(tmp_path)] == ["1"]
