"""Every wrong use of tools/train.py is one clear message: exit status 2 for the command line, 1 for what is on disk."""

import json
import os
import sys

import pytest

from snncore.backend import cupy_module
from snncore.checkpoint import load_checkpoint, save_checkpoint
from tests.tools.command_line import TINY, shell


def test_in_a_process_of_its_own_too_there_is_no_traceback(tmp_path):
    result = shell("train", *TINY, "--tau", "0.2", "--output-dir", tmp_path / "run")
    assert result.status == 2
    assert result.err.startswith("error: tau: expected a number above 1, found 0.2: the membrane keeps 1 - 1 / tau")
    assert len(result.err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--variant", "M"], "argument --variant: invalid choice: 'M'"),
        (["--dataset", "cifar"], "argument --dataset: invalid choice: 'cifar'"),
        (["--recipe", "fast"], "argument --recipe: invalid choice: 'fast'"),
        (["--epochs", "two"], "argument --epochs: invalid int value: 'two'"),
        (["--epochs", "0"], "error: --epochs: expected an integer of at least 1, found 0"),
        (["--batch-size", "0"], "error: --batch-size: expected an integer of at least 1, found 0"),
        (["--limit-train", "-3"], "error: --limit-train: expected an integer of at least 1, found -3"),
        (["--seed", "-1"], "error: --seed: expected an integer of at least 0, found -1"),
        (["--data-option", "lost"], "--data-option: expected NAME=VALUE, found 'lost'"),
        (["--data-option", "found=1"], "error: options: dialpad has no option found; expected some of lost,"),
        (["--data-option", "lost=0.9"], "error: lost: expected a probability from 0 to 0.5, found 0.9"),
        (["--timesteps", "0"], "error: timesteps: expected at least 1, found 0"),
        (["--memory-limit", "0"], "error: --memory-limit: expected a positive number of GiB, found 0"),
        (["--device", "tpu"], "error: --device: expected auto, cpu, cuda or cuda:<index>, found 'tpu'"),
        (["--cells", "1,1"], "error: cells: expected 3 numbers"),
        (["--visual-channels", "3"], "error: --visual-channels: dialpad has 1, found 3"),
        (["--classes", "7"], "error: --classes: dialpad has 10, found 7"),
        (["--lr", "-1"], "error: --lr: expected a finite number of at least 0, found -1.0"),
        (["--optimizer", "sgd", "--momentum", "1"], "error: momentum: expected a number in [0, 1), found 1.0"),
        (["--momentum", "0.9"], "error: --momentum: expected --optimizer sgd too, found adam"),
        (["--warmup-steps", "100"], "error: total_steps: expected more than warmup_steps=100, found 8"),
        (
            ["--resume", "somewhere"],
            "error: --resume takes its settings from the run; also found --batch-size, --cells",
        ),
    ],
    ids=lambda x: "_".join(x) if isinstance(x, list) else "",
)
def test_wrong_usage_is_status_2_and_writes_nothing(call, tmp_path, options, message):
    result = call("train", *TINY, "--output-dir", tmp_path / "run", *options)
    assert result.status == 2
    assert message in result.err
    assert not (tmp_path / "run").exists()


def test_cuda_without_cupy_says_what_to_install(call, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    cupy_module.cache_clear()
    result = call("train", "--device", "cuda", "--output-dir", tmp_path / "run")
    cupy_module.cache_clear()
    assert result.status == 2
    assert result.err == 'error: device "cuda": CuPy is not installed; install it with: pip install -e ".[cuda]"\n'
    assert not (tmp_path / "run").exists()


def test_memory_that_runs_out_is_one_sentence(call, tmp_path, monkeypatch):
    def full(*_):
        raise MemoryError("Unable to allocate 8.00 TiB")

    monkeypatch.setattr("misnet.models.misnet.model.MISNet.to", full)
    result = call("train", *TINY, "--output-dir", tmp_path / "run")
    assert result.status == 1
    assert (
        result.err == "error: out of memory: Unable to allocate 8.00 TiB; lower --batch-size, --size or --timesteps\n"
    )


def test_a_folder_that_holds_a_run_is_not_overwritten(trained, call):
    before = {path.name: path.read_bytes() for path in trained[0].iterdir()}
    result = call("train", *TINY, "--output-dir", trained[0])
    assert result.status == 2
    assert f"error: --output-dir: {trained[0]} holds a run already; go on with --resume {trained[0]}" in result.err
    assert {path.name: path.read_bytes() for path in trained[0].iterdir()} == before


def failed(result, *parts):
    assert result.status == 1
    assert result.err.startswith("error: ")
    for part in map(str, parts):
        assert part in result.err


def test_resuming_what_is_no_run(call, tmp_path):
    failed(call("train", "--resume", tmp_path), tmp_path / "config.json", "no such file; expected the config.json")
    failed(call("train", "--resume", tmp_path / "missing"), f"{tmp_path / 'missing'}: no such folder")
    (tmp_path / "config.json").write_text('{"settings": ')
    failed(call("train", "--resume", tmp_path), tmp_path / "config.json", "cannot be read as JSON")


def test_resuming_a_run_whose_checkpoints_are_gone(copy_of_run, call):
    folder = copy_of_run()
    for name in ("last.safetensors", "previous.safetensors"):
        (folder / name).unlink()
    failed(call("train", "--resume", folder), folder / "last.safetensors", "no such file")


def test_a_checkpoint_of_another_architecture(copy_of_run, call):
    folder = copy_of_run(network={"channels": [4, 6, 9]})
    for name in ("last.safetensors", "previous.safetensors"):  # as earlier versions wrote them
        arrays, metadata = load_checkpoint(folder / name)
        save_checkpoint(folder / name, arrays, {k: v for k, v in metadata.items() if k != "origin"})
    failed(
        call("train", "--resume", folder),
        f"checkpoint {folder / 'last.safetensors'} for MISNet-XS: checkpoint of another architecture",
        "wrong shape: stages.2.unimodal.a.conv.weight (expected (3, 3, 6, 9), found (3, 3, 6, 8))",
    )


def test_a_truncated_checkpoint(copy_of_run, call):
    folder = copy_of_run()
    path = folder / "last.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    result = call("train", "--resume", folder, "--device", "cpu")
    assert result.status == 0
    assert result.err.count("\n") == 1
    assert result.err.endswith("; going on from previous.safetensors, the one before\n")
    for name in ("last.safetensors", "previous.safetensors"):
        (folder / name).write_bytes((folder / name).read_bytes()[:-1000])
    failed(call("train", "--resume", folder), path, "truncated", "nor is the one before of use")


def test_a_config_that_is_missing_or_is_not_json(call, tmp_path):
    failed(call("train", "--config", tmp_path / "none.json"), tmp_path / "none.json", "no such file")
    (tmp_path / "bad.json").write_text("epochs = 3")
    failed(call("train", "--config", tmp_path / "bad.json"), tmp_path / "bad.json", "cannot be read as JSON")


def test_mnist_fsdd_without_its_files_says_what_it_needs(call, tmp_path):
    arguments = ("--dataset", "mnist-fsdd", "--output-dir", tmp_path / "run")
    failed(call("train", *arguments), "mnist-fsdd: data_dir is not given", "train-images-idx3-ubyte")
    failed(call("train", *arguments, "--data-dir", tmp_path / "no"), tmp_path / "no", "no such folder", "recordings/")
    failed(call("train", *arguments, "--data-dir", tmp_path), "train-images-idx3-ubyte", tmp_path)
    assert not (tmp_path / "run").exists()


def test_a_file_in_place_of_the_output_folder(call, tmp_path):
    (tmp_path / "file").write_text("mine")
    result = call("train", *TINY, "--output-dir", tmp_path / "file")
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"error: --output-dir: {tmp_path / 'file'}: expected a folder, found a file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the overflow that is wanted here
def test_a_loss_that_is_not_finite_names_the_step_and_keeps_the_last_good_checkpoint(copy_of_run, call):
    folder = copy_of_run(settings={"epochs": 4, "lr": 1e30, "schedule": "constant"})
    arrays, metadata = load_checkpoint(folder / "last.safetensors")
    del metadata["origin"]
    save_checkpoint(folder / "last.safetensors", arrays, metadata)
    before = (folder / "last.safetensors").read_bytes()
    failed(call("train", "--resume", folder), "step 9: the loss is ", "; first not finite: ")
    assert (folder / "last.safetensors").read_bytes() == before
    assert load_checkpoint(folder / "last.safetensors")[1]["epoch"] == 2
    assert json.loads((folder / "config.json").read_text())["settings"]["lr"] == 1e30


@pytest.mark.parametrize(
    ("name", "value", "was"),
    [
        ("batch_size", 16, 8),
        ("optimizer", "adamw", "adam"),
        ("seed", 1, 0),
        ("accumulate", 2, 1),
    ],
)
def test_a_setting_edited_since_the_run_began_is_named(copy_of_run, call, name, value, was):
    folder = copy_of_run(settings={name: value, "epochs": 2})
    path = folder / "config.json"
    if name == "seed":  # which decides the data too
        failed(call("train", "--resume", folder), folder, "data changed since the run began")
    else:
        message = f"{path}: {name}: the run is trained with {was!r}, found {value!r}; put it back, or train anew\n"
        failed(call("train", "--resume", folder), message)


@pytest.mark.parametrize(
    ("name", "value", "was"),
    [("lr", 0.5, 0.01), ("schedule", "constant", "cosine"), ("augment", ["crop"], []), ("weight_decay", 0.1, 0.0)],
)
def test_a_rate_edited_since_the_run_began_is_refused_with_the_option_that_says_it(copy_of_run, call, name, value, was):
    folder = copy_of_run(settings={name: value})
    option = f"--{name.replace('_', '-')}"
    message = (
        f"{folder / 'config.json'}: {name}: the run is trained with {was!r}, found {value!r}; say with {option} "
        "which is meant\n"
    )
    failed(call("train", "--resume", folder), message)
    text = ",".join(value) if isinstance(value, list) else value
    assert call("train", "--resume", folder, option, text).status == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"save_every": "soon"}, "save_every: expected a time such as 90s, 10min or 2h, or 0, found 'soon'"),
        ({"device": 3}, "device: expected a value like 'auto', found 3"),
        ({"tf32": 1}, "tf32: expected a value like False, found 1"),
        ({"memory_limit": True}, "memory_limit: expected a value like None, found True"),
        (
            {"speed": 1},
            "unknown option 'speed'; known are save_every, device, memory_limit, tf32, cuda_graph, "
            "sync_batch_norm, arithmetic, log",
        ),
        ({"arithmetic": "int8"}, "arithmetic: expected float32 or exact, found 'int8'"),
        ({"arithmetic": None}, "arithmetic: expected a value like 'float32', found None"),
        ({"cuda_graph": "yes"}, "cuda_graph: expected auto, on or off, found 'yes'"),
    ],
)
def test_options_in_the_config_that_cannot_be_used_are_named(copy_of_run, call, options, message):
    folder = copy_of_run(options=options)
    result = call("train", "--resume", folder)
    assert (result.status, result.err) == (2, f"error: {folder / 'config.json'}: {message}\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [("tau", 3.0), ("v_threshold", 0.75), ("reset", "hard"), ("pooling", "avg"), ("loss", "cross-entropy")],
)
def test_a_switch_edited_since_the_run_began_is_named(copy_of_run, call, name, value):
    folder = copy_of_run(network={name: value})
    failed(
        call("train", "--resume", folder),
        f"{folder / 'config.json'}: {name}: the run is trained with ",
        f"found {value!r}",
    )


def test_keys_that_are_not_known_and_a_newer_version_are_named(copy_of_run, call):
    path = copy_of_run(settings={"sparkle": 3}) / "config.json"
    result = call("train", "--resume", path.parent)
    assert result.status == 2
    assert result.err.startswith(f"error: {path}: unknown setting 'sparkle'; known are accumulate, augment, ")
    content = json.loads(path.read_text())
    content["versions"]["snncore"] = "99.1"
    path.write_text(json.dumps(content))
    assert "; written by snncore 99.1, this is " in call("train", "--resume", path.parent).err
    del content["settings"]["sparkle"]
    path.write_text(json.dumps(content | {"glitter": 1}))
    failed(
        call("train", "--resume", path.parent), f"{path}: unknown section 'glitter'; written by snncore 99.1, this is"
    )
    path.write_text(json.dumps(content | {"network": content["network"] | {"glow": 1}}))
    failed(
        call("train", "--resume", path.parent), f"{path}: unknown switch glow; known are ", "written by snncore 99.1"
    )
    path.write_text(json.dumps(content))
    result = call("train", "--resume", path.parent)
    assert result.status == 0
    assert "config.json; written by snncore 99.1, this is" in result.err


@pytest.mark.parametrize(
    ("section", "value", "message"),
    [
        ("data", [], "data: expected an object, found []"),
        ("class_names", "abc", "class_names: expected a list of texts, found 'abc'"),
        ("versions", 3, "versions: expected an object, found 3"),
        ("model", 3, "model: expected text, found 3"),
    ],
)
def test_sections_of_the_wrong_kind_are_named(copy_of_run, call, section, value, message):
    path = copy_of_run() / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {section: value}))
    failed(call("train", "--resume", path.parent), f"{path}: {message}")


def test_a_config_that_is_a_pipe_or_nested_too_deeply_is_one_sentence(call, tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"settings": ' + "[" * 100_000 + "]" * 100_000 + "}")
    failed(call("train", "--resume", tmp_path), f"{path}: cannot be read as JSON: it is nested too deeply")
    path.unlink()
    os.mkfifo(path)
    failed(call("train", "--resume", tmp_path), f"{path}: cannot be read: expected a file, found a pipe")


@pytest.mark.parametrize("text", ["10", "10 min", "-5s", "min", "1d", "infh"])
def test_a_time_that_cannot_be_used(call, tmp_path, text):
    result = call("train", *TINY, "--output-dir", tmp_path / "run", f"--save-every={text}")
    expected = f"error: --save-every: expected a time such as 90s, 10min or 2h, or 0, found {text!r}\n"
    assert (result.status, result.err) == (2, expected)
    assert not (tmp_path / "run").exists()
