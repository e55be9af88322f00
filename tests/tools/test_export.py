"""tools/export.py and tools/adopt.py: every format there and back, and files, options and networks that do not fit."""

import importlib.util
import json
import os

import numpy as np
import pytest
from safetensors import safe_open

from misnet.models.registry import build, config_class
from misnet.training.folder import load_run, write_config
from misnet.training.state import State, save_newest
from misnet.visual.looking import weights_over_training
from snncore import Tensor, no_grad
from tests.snncore.interchange.networks import lively

HAS_NIR = importlib.util.find_spec("nir") is not None
HAS_TORCH = importlib.util.find_spec("torch") is not None
SEW = {"streams": "visual", "size": 8, "timesteps": 2, "channels": [4, 6], "blocks": [1, 1], "visual_channels": 1}
SWITCHES = ["--model", "sew-resnet18", "--streams", "visual", "--channels", "4,6", "--blocks", "1,1"]
SWITCHES += ["--timesteps", "2", "--limit-eval", "8"]
DIGITS = [str(k) for k in range(10)]


def write_run(folder, model="sew-resnet18", class_names=DIGITS, **network):
    """A run folder with weights that no training made."""
    config = config_class(model).from_dict(network or SEW)
    made = lively(build(model, config, seed=3))
    folder.mkdir()
    save_newest(folder, {f"model/{k}": x for k, x in made.state_dict().items()}, State())
    settings = {"dataset": "dialpad", "limit_eval": 8}
    write_config(folder, settings, model, config, {}, class_names)
    return folder


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run")


def scores(folder):
    model = load_run(folder)[0].eval()
    x = np.random.default_rng(0).random((2, 5, 8, 8, 1)).astype(np.float32)
    with no_grad():
        return model(Tensor(x))["v"].data


def left_in(folder):
    """Names of all files in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["w.npz", "w.safetensors"])
def test_weights_there_and_back_are_the_same_bits(run, tmp_path, call, name):
    path, again = tmp_path / name, tmp_path / "again"
    to = "npz" if name == "w.npz" else "torch"
    result = call("export", run, "--to", to, "-o", path)
    assert (result.status, result.err) == (0, "")
    whose = "our own names and layout" if to == "npz" else "names and layout of SpikingJelly's sew_resnet18"
    assert result.out.splitlines() == [
        f"wrote {path}: SEW-ResNet18, 1,018 parameters; {32 if to == 'npz' else 38} arrays, {whose}",
        "6 layers of if: keeps 1, fires at 1, resets to 0",
    ]
    result = call("adopt", path, "-o", again, "--limit-eval", "8")  # it says of which network it is
    assert (result.status, result.err) == (0, "")
    before, after = (load_run(folder)[0].state_dict() for folder in (run, again))
    assert all((before[key] == after[key]).all() and before[key].dtype == after[key].dtype for key in before)
    assert left_in(again) == ["config.json", "last.safetensors"]
    assert left_in(tmp_path) == sorted(["again", "run", name])


def test_a_graph_of_nir_there_and_back(run, tmp_path, call):
    if not HAS_NIR:
        result = call("export", run, "--to", "nir", "-o", tmp_path / "w.nir")
        assert result.status == 1
        assert 'pip install -e ".[nir]"' in result.err
        pytest.skip("the extra nir is not installed")
    path, again = tmp_path / "w.nir", tmp_path / "again"
    assert call("export", run, "--to", "nir", "-o", path, "--nir-dt", "1e-3").status == 0
    result = call("adopt", path, *SWITCHES, "-o", again)
    assert result.status == 1
    assert "tau: " not in result.err  # an IF has none
    assert "r: the network has 10000, the graph 1000" in result.err
    assert call("adopt", path, *SWITCHES, "-o", again, "--nir-dt", "1e-3").status == 0
    found, expected = scores(again), scores(run)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert abs(expected).max() > 0.1
    result = call("adopt", path, *SWITCHES, "--neuron", "lif", "-o", tmp_path / "other", "--nir-dt", "1e-3")
    assert result.status == 1
    assert "expected LIF, found IF" in result.err
    assert left_in(tmp_path) == ["again", "run", "w.nir"]


def test_what_a_killed_adoption_left_goes_with_the_next(run, tmp_path, call):
    left, other = (tmp_path / f".{name}.0123456789abcdef.tmp" for name in ("again", "other"))
    for folder in (left, other):
        folder.mkdir()
        (folder / "config.json").write_text("{")
        os.utime(folder, (0, 0))
    call("export", run, "--to", "npz", "-o", tmp_path / "w.npz")
    assert call("adopt", tmp_path / "w.npz", "-o", tmp_path / "again").status == 0
    assert left_in(tmp_path) == [other.name, "again", "run", "w.npz"]


def test_the_current_folder_is_not_replaced_by_a_run(run, tmp_path, call, monkeypatch):
    call("export", run, "--to", "npz", "-o", tmp_path / "w.npz")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    result = call("adopt", tmp_path / "w.npz", "-o", ".")
    assert (result.status, result.err) == (
        2,
        "error: --output-dir: expected another folder than the current one, found .\n",
    )


def test_an_adopted_run_is_evaluated(run, tmp_path, call):
    call("export", run, "--to", "npz", "-o", tmp_path / "w.npz")
    call("adopt", tmp_path / "w.npz", "-o", tmp_path / "again", "--limit-eval", "8")
    result = call("evaluate", tmp_path / "again", "--picture", tmp_path / "c.png")
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith("8 samples, loss ")


def test_an_adopted_run_is_begun_not_gone_on_with(run, tmp_path, call):
    again, page = tmp_path / "a gain", tmp_path / "page.html"
    call("export", run, "--to", "npz", "-o", tmp_path / "w.npz")
    adopted = call("adopt", tmp_path / "w.npz", "-o", again, "--limit-eval", "8")
    assert adopted.out.splitlines()[-1] == f"look closer with: python tools/evaluate.py '{again}'"
    result = call("train", "--resume", again, "--epochs", "1")
    begin = f"python tools/train.py --config '{again}/config.json' --weights '{again}'"
    words = f"{again}: no training began here, as its config.json records no training data; begin one with: {begin}"
    assert (result.status, result.err) == (1, f"error: {words}\n")
    result = call("report", again, "-o", page, "--quick")
    assert "Not trained here: the weights were adopted from elsewhere" in result.out
    assert "--resume" not in page.read_text()
    seen = weights_over_training(again, load_run(again)[0])
    assert seen.words == "last (epoch 0): this run has no weights.csv"  # and no start that a seed would draw
    assert {tuple(of) for of in seen.sizes.values()} == {(0,)}


@pytest.mark.parametrize("command", ["evaluate", "report", "export"])
def test_a_checkpoint_in_place_of_a_run_folder(run, tmp_path, call, command):
    rest = ["--to", "npz", "-o", tmp_path / "w.npz"] if command == "export" else []
    result = call(command, run / "last.safetensors", *rest)
    words = f"{run}/last.safetensors: expected the folder of a training run, found a file; nearest: {run}"
    assert (result.status, result.err) == (1, f"error: {words}\n")


def test_what_an_archive_says(run, tmp_path, call):
    call("export", run, "--to", "npz", "-o", tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz") as file:
        said = json.loads(str(file["about"]))
        assert set(file.files) == {"about", *load_run(run)[0].state_dict()}
    assert (said["format"], said["model"], said["heads"], said["class_names"]) == (1, "sew-resnet18", ["v"], DIGITS)
    assert said["streams"] == {"visual": [2, 8, 8, 1]}
    assert said["network"]["channels"] == [4, 6]
    neuron = {"kind": "if", "decay": 1.0, "v_threshold": 1.0, "v_reset": 0.0}
    assert said["neurons"]["encoders.visual.stem.neuron"] == neuron
    assert len(said["neurons"]) == 6
    call("export", run, "--to", "torch", "-o", tmp_path / "w.safetensors")
    with safe_open(tmp_path / "w.safetensors", "np") as file:
        assert json.loads(file.metadata()["about"]) == said
        assert file.get_tensor("bn1.num_batches_tracked").shape == ()


@pytest.mark.skipif(not HAS_NIR, reason="the extra nir is not installed")
def test_misnet_cannot_be_a_graph_of_nir_and_the_message_says_why(tmp_path, call):
    switches = {"variant": "XS", "channels": [4, 6], "cells": [1, 1], "size": 8, "timesteps": 2, "visual_channels": 1}
    folder = write_run(tmp_path / "run", "misnet", **switches)
    result = call("export", folder, "--to", "nir", "-o", tmp_path / "w.nir")
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("error: MISNet-XS: a graph of NIR cannot hold ")
    assert "stages.0.cells.0.mlif, stages.1.cells.0.mlif (MLIF: its two trains share a neuron" in result.err
    assert left_in(tmp_path) == ["run"]
    result = call("export", folder, "--to", "torch", "-o", tmp_path / "w.safetensors")
    assert "names and layout of Peer of tools/benchmarks/peer.py" in result.out
    assert call("adopt", tmp_path / "w.safetensors", "-o", tmp_path / "again", "--limit-eval", "8").status == 0
    before, after = (load_run(path)[0].state_dict() for path in (folder, tmp_path / "again"))
    assert all((before[key] == after[key]).all() for key in before)  # alpha too, which has no axes


@pytest.mark.skipif(HAS_TORCH, reason="PyTorch is installed")
def test_without_pytorch_it_is_named_with_the_way_out(run, tmp_path, call):
    result = call("export", run, "--to", "torch", "-o", tmp_path / "w.pt")
    assert result.status == 1
    assert "needs PyTorch, which is not installed; install it with: pip install -e" in result.err
    assert "or take a safetensors file" in result.err
    (tmp_path / "w.pt").write_bytes(b"x")
    assert "w.pt: reading it needs PyTorch" in call("adopt", tmp_path / "w.pt", "-o", tmp_path / "again").err


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (("--to", "npz", "-o", "w.pt"), 2, "--file: expected a name that ends with .npz for --to npz, found w.pt"),
        (("--to", "torch", "-o", "w.nir"), 2, "ends with .pt or .pth or .bin or .tar or .safetensors for --to torch"),
        (("--to", "npz", "-o", "w.npz", "--nir-dt", "1"), 2, "--nir-dt: expected --to nir beside it, found --to npz"),
        (("--to", "nir", "-o", "w.nir", "--nir-dt", "0"), 2, "--nir-dt: expected seconds above 0"),
        (("--to", "npz", "-o", "nowhere/w.npz"), 1, "--file: expected a file in a folder that exists"),
        (("--to", "npz"), 2, "the following arguments are required: -o/--file"),
        (("--to", "onnx", "-o", "w.onnx"), 2, "invalid choice: 'onnx'"),
        (("--to", "npz", "-o", "w.npz", "--checkpoint", "best"), 1, "best.safetensors: no such file; nearest: "),
    ],
)
def test_options_that_cannot_be_used(run, tmp_path, call, monkeypatch, options, status, words):
    monkeypatch.chdir(tmp_path)
    result = call("export", run, *options)
    assert (result.status, result.out) == (status, "")
    assert words in result.err
    assert left_in(tmp_path) == ["run"]


SAYS = {
    "newer": {"format": 2},
    "classes": {"class_names": DIGITS[::-1]},
    "names": {"class_names": [1, 2]},
    "model": {"model": "perceptron"},
    "switch": {"network": SEW | {"layers": 3}},
    "value": {"network": SEW | {"tau": "two"}},
}


def damaged(path, what):
    """The file with one thing wrong."""
    if what == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "another":
        path.write_bytes(b"no archive")
    else:
        with np.load(path) as file:
            arrays = dict(file)
        key = "head.linear.weight"
        if what == "nan":
            arrays[key][0] = np.nan
        elif what == "shape":
            arrays[key] = arrays[key].T
        elif what == "less":
            del arrays[key]
        elif what == "more":
            arrays["other"] = arrays[key]
        elif what == "about":
            arrays["about"] = np.array("{")
        elif what in SAYS:
            arrays["about"] = np.array(json.dumps(json.loads(str(arrays["about"])) | SAYS[what]))
        np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("cut", "expected an archive of numpy.savez, found none that is whole"),
        ("empty", "found an empty file"),
        ("another", "expected an archive of numpy.savez"),
        ("nan", "head.linear.weight: expected finite values, found 10 others"),
        ("shape", "head.linear.weight (expected (6, 10), found (10, 6))"),
        ("less", "1 missing: head.linear.weight"),
        ("more", "1 unexpected: other"),
        ("about", "expected its entry 'about' to name model, network and format, found it damaged"),
        ("newer", "expected format 1, found 2: use a newer snncore"),
        ("names", "expected its entry 'about' to name model, network and format, found it damaged"),
        ("model", "w.npz: expected weights of one of misnet, sew-resnet18"),
        ("switch", "w.npz: its entry 'about': unknown switch layers"),
        ("value", "w.npz: its entry 'about': tau: a value of the wrong type"),
        ("classes", "classes: the run was trained on 9, 8, 7"),
    ],
)
def test_files_that_are_not_what_they_should_be(run, tmp_path, call, what, words):
    call("export", run, "--to", "npz", "-o", tmp_path / "w.npz")
    damaged(tmp_path / "w.npz", what)
    result = call("adopt", tmp_path / "w.npz", "-o", tmp_path / "again", "--limit-eval", "8")
    assert (result.status, result.out) == (2 if what == "classes" else 1, "")
    assert words in result.err
    assert left_in(tmp_path) == ["run", "w.npz"]


def test_other_files_and_folders(run, tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call("export", run, "--to", "torch", "-o", "w.safetensors")
    for arguments, status, words in (
        (("run/last.safetensors", "-o", "r"), 1, "found a checkpoint of this program"),
        (("none.npz", "-o", "r"), 1, "none.npz: expected a file of weights, found no such file"),
        (("w.onnx", "-o", "r"), 2, "FILE: expected a name that ends with one of .npz"),
        (("w.safetensors", "-o", "run"), 2, "--output-dir: expected a new folder, or an empty one, found run"),
        (("w.safetensors", "-o", "w.safetensors"), 2, "--output-dir: expected a new folder"),
        (("w.safetensors", *SWITCHES, "--blocks", "1,2", "-o", "r"), 1, "layer2.1.conv1.weight is missing"),
        (("w.safetensors", "--model", "spikformer", "-o", "r"), 1, "expected weights of Spikformer of its authors'"),
        (("w.safetensors",), 2, "the following arguments are required: -o/--output-dir"),
    ):
        result = call("adopt", *arguments)
        assert (result.status, result.out) == (status, ""), arguments
        assert words in result.err
        assert left_in(tmp_path) == ["run", "w.safetensors"]
