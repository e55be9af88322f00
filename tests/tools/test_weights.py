"""tools/train.py --weights: starting from the weights of another run, with heads of other classes made anew."""

import numpy as np

from snncore.checkpoint import load_checkpoint
from tests.tools.command_line import TINY
from tests.tools.test_predict import RUN, copied, folder_run  # noqa: F401
from tests.tools.test_train import settings


def weights(path):
    return {name: x for name, x in load_checkpoint(path)[0].items() if name.startswith("model/")}


def train(call, root, to, *more):
    """A short run on the data of another."""
    return call("train", *TINY, *RUN, "--data-dir", root, "--output-dir", to, *more)


def test_a_run_starts_from_the_weights_of_another_and_goes_on_without_them(folder_run, call, tmp_path):  # noqa: F811
    source, to = copied(folder_run / "run", tmp_path / "source"), tmp_path / "run"
    result = train(call, folder_run, to, "--weights", source, "--lr", "0", "--final-lr", "0")
    assert result.status == 0, result.err
    path = source / "last.safetensors"
    before, after = weights(path), weights(to / "last.safetensors")
    assert f"weights: {len(before)} tensors of {path} (SHA-256 " in result.out
    assert "...), all there are" in result.out
    assert settings(to)["weights"] == str(source)
    moved = {name for name, x in before.items() if not np.array_equal(x, after[name])}
    assert all("running" in name for name in moved)  # with a rate of 0 nothing is learned
    for file in source.iterdir():
        file.unlink()
    result = call("train", "--resume", to, "--epochs", "2")
    assert result.status == 0, result.err
    assert "epoch 2/2" in result.out
    result = call("train", "--resume", to, "--weights", source)
    assert (result.status, "also found --weights" in result.err) == (2, True)


def test_other_classes_start_with_fresh_heads_that_are_named(folder_run, call, tmp_path):  # noqa: F811
    source = copied(folder_run / "run", tmp_path / "source", class_names=["low", "high"])
    result = train(call, folder_run, tmp_path / "run", "--weights", source)
    assert result.status == 0, result.err
    assert "; 6 start anew, as its classes are low, high: " in result.out
    for name in ("head.linear.weight", "head_a.bias", "head_v.weight"):
        assert name in result.out
    assert "weights: " in (tmp_path / "run" / "run.log").read_text()


def test_weights_that_do_not_fit_are_refused_by_name_and_no_run_is_begun(folder_run, call, tmp_path):  # noqa: F811
    to = tmp_path / "run"
    result = train(call, folder_run, to, "--channels", "4,6,9", "--weights", folder_run / "run")
    assert result.status == 1
    assert "wrong shape: stages.2." in result.err
    result = train(call, folder_run, to, "--weights", tmp_path / "none.safetensors")
    assert (result.status, "none.safetensors: no such folder or file" in result.err) == (1, True)
    assert not to.exists()
