"""What a run refuses to go on from, and the config.json in its folder."""

import json

import numpy as np
import pytest

from misnet.training.machine import machine, other_machine
from misnet.training.run import load_model, read_config, write_config
from misnet.training.step import Totals
from snncore.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from tests.misnet.tiny import copy_of, tiny_config
from tests.misnet.tiny_run import make_run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that ended."""
    run = make_run(tmp_path_factory.mktemp("whole"))
    run.run()
    return run


def refused(run, *parts):
    """Expect CheckpointError with these parts in its text, and return the weights as they were before."""
    weights = copy_of(run.model.state_dict())
    with pytest.raises(CheckpointError) as error:
        run.resume()
    for part in (str(run.folder / "last.safetensors"), *parts):
        assert part in str(error.value)
    assert (run.epoch, run.batch, run.totals) == (0, 0, Totals())
    return weights


def assert_untouched(run, weights):
    for name, x in run.model.state_dict().items():
        np.testing.assert_array_equal(x, weights[name])


def test_no_checkpoint(tmp_path):
    run = make_run(tmp_path)
    assert_untouched(run, refused(run, "no such file"))


def test_a_checkpoint_of_another_architecture_lists_what_differs(whole, tmp_path):
    (tmp_path / "last.safetensors").write_bytes((whole.folder / "last.safetensors").read_bytes())
    run = make_run(tmp_path, tiny_config(timesteps=2, channels=(2, 4), neuron="plif"))
    weights = refused(run, "MISNet-XS: checkpoint of another architecture", "missing", "wrong shape", "(expected (4,)")
    assert_untouched(run, weights)


def test_a_checkpoint_of_another_optimizer(whole, tmp_path):
    (tmp_path / "last.safetensors").write_bytes((whole.folder / "last.safetensors").read_bytes())
    refused(make_run(tmp_path, optimizer="sgd"), "holds weights but not the state of a run", "missing")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b[:-100], "truncated"),
        (lambda b: b[:-5] + bytes([b[-5] ^ 4]) + b[-4:], "corrupt: the SHA-256 of its content"),
        (lambda b: b"", "found an empty file"),
        (lambda b: b"no tensors here", "expected a safetensors file"),
    ],
    ids=["cut short", "one bit flipped", "empty", "text"],
)
def test_a_damaged_checkpoint(whole, tmp_path, damage, message):
    (tmp_path / "last.safetensors").write_bytes(damage((whole.folder / "last.safetensors").read_bytes()))
    run = make_run(tmp_path)
    assert_untouched(run, refused(run, message))


def test_a_checkpoint_of_weights_alone(whole, tmp_path):
    (tmp_path / "last.safetensors").write_bytes((whole.folder / "best.safetensors").read_bytes())
    refused(make_run(tmp_path), "holds weights but not the state of a run")


def test_a_checkpoint_without_its_place_in_the_run(whole, tmp_path):
    arrays, metadata = load_checkpoint(whole.folder / "last.safetensors")
    del metadata["batch"]
    save_checkpoint(tmp_path / "last.safetensors", arrays, metadata)
    with pytest.raises(CheckpointError, match="holds weights but not the state of a run: batch: expected"):
        make_run(tmp_path).resume()


def test_a_checkpoint_further_than_an_epoch_has_batches_is_refused(tmp_path):
    run = make_run(tmp_path)
    run.run()
    arrays, metadata = load_checkpoint(tmp_path / "last.safetensors")
    save_checkpoint(
        tmp_path / "last.safetensors", arrays, metadata | {"epoch": 1, "batch": 4, "rows": metadata["rows"][:1]}
    )
    with pytest.raises(CheckpointError, match=r"last\.safetensors: .*batch 4.* 3 batches"):
        make_run(tmp_path).resume()


def test_weights_are_loaded_for_evaluation(whole, tmp_path):
    run = make_run(tmp_path)
    metadata = load_model(run.model, whole.folder / "best.safetensors")
    arrays, _ = load_checkpoint(whole.folder / "best.safetensors")
    for name, x in run.model.state_dict().items():
        np.testing.assert_array_equal(x, arrays[f"model/{name}"])
    assert metadata["row"] in whole.rows


def test_the_configuration_of_a_run_comes_back(tmp_path):
    config = tiny_config(decay=0.25)
    write_config(tmp_path, {"epochs": 3, "lr": 0.1}, "misnet", config, {"train": "abc", "test": "def"}, ("one", "two"))
    content = read_config(tmp_path / "config.json")
    assert content["settings"] == {"epochs": 3, "lr": 0.1}
    assert type(config).from_dict(content["network"]) == config
    assert content["data"] == {"train": "abc", "test": "def"}
    assert (content["model"], content["class_names"]) == ("misnet", ["one", "two"])
    assert set(content["versions"]) == {"snncore", "numpy", "numba", "python", "kernels", "cpu"}
    assert other_machine(content["versions"]) == ""


def test_what_is_another_on_this_machine_is_named():
    before = machine() | {"numpy": "2.0.0", "kernels": "dense", "python": "3.9.0"}
    now = machine()
    assert other_machine(before) == (
        f"numpy {now['numpy']} in place of 2.0.0, kernels {now['kernels']} in place of dense"
    )
    before = {"cpu": now["cpu"] + " SSE9", "numpy": now["numpy"]}  # less was written once
    assert other_machine(before) == "another CPU, without SSE9"
    assert other_machine({"cpu": "none"}).startswith("another CPU, without none and with ")
    assert other_machine({}) == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file; expected the config.json of a training run"),
        ("{", "cannot be read as JSON"),
        ("\xff", "cannot be read as JSON"),
        ("[]", 'expected an object with "settings" and "network"'),
        (json.dumps({"settings": {}}), 'expected an object with "settings" and "network"'),
        (json.dumps({"settings": [], "network": {}}), 'expected an object with "settings" and "network"'),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path, text, message):
    path = tmp_path / "config.json"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError) as error:
        read_config(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"expected the config\.json of a training run, found a folder"):
        read_config(tmp_path)
