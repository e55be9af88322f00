"""Weights of a run folder or of one file, and starting from them with heads of other classes."""

import json

import numpy as np
import pytest

from misnet.models.registry import build
from misnet.training.folder import write_config
from misnet.training.sources import heads, read_source, start_from
from snncore.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from tests.misnet.tiny import tiny_config

NAMES = ["ant", "bee", "cat", "dog"]
HEADS = {f"{head}.{tensor}" for head in ("head.linear", "head_a", "head_v") for tensor in ("weight", "bias")}


def write(folder, seed=1, names=NAMES, **switches):
    """A run folder with two checkpoints: one that says what it is of, and one of an earlier version."""
    config = tiny_config(**switches)
    model = build("misnet", config, seed)
    weights = {f"model/{name}": x for name, x in model.state_dict().items()}
    origin = {"model": "misnet", "settings": {"lr": 0.5}, "network": config.to_dict(), "class_names": names}
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(folder / "best.safetensors", weights, {"epoch": 3, "origin": origin | {"arithmetic": "exact"}})
    save_checkpoint(folder / "last.safetensors", weights | {"optimizer/x": np.zeros(2)}, {"epoch": 3})
    write_config(folder, {"lr": 0.5}, "misnet", config, {}, names, {"arithmetic": "exact"})
    return model


def test_a_folder_a_file_alone_and_an_older_file_beside_its_config_say_the_same(tmp_path):
    model = write(tmp_path / "run")
    alone = tmp_path / "elsewhere.safetensors"
    alone.write_bytes((tmp_path / "run" / "best.safetensors").read_bytes())
    for place in (tmp_path / "run", alone, tmp_path / "run" / "last.safetensors"):
        source = read_source(place)
        assert (source.model, source.class_names, source.arithmetic) == ("misnet", tuple(NAMES), "exact")
        assert (source.settings, source.config) == ({"lr": 0.5}, model.config)
        found = source.network().state_dict()
        assert all(np.array_equal(x, found[name]) for name, x in model.state_dict().items())
    assert read_source(tmp_path / "run", "best").path == tmp_path / "run" / "best.safetensors"


def test_a_file_of_an_earlier_version_without_its_folder_is_refused(tmp_path):
    write(tmp_path / "run")
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((tmp_path / "run" / "last.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match=r"alone\.safetensors: does not say what network it is of"):
        read_source(alone)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "none"}, "model: expected one of misnet,"),
        ({"network": {"classes": 0}}, "classes: expected a positive integer, found 0"),
        ({"network": []}, "best.safetensors: "),
        ({"class_names": ["ant"]}, r"class_names: expected a list of 4, found \['ant'\]"),
    ],
)
def test_what_a_checkpoint_says_is_checked(tmp_path, changes, message):
    write(tmp_path)
    path = tmp_path / "best.safetensors"
    arrays, metadata = load_checkpoint(path)
    save_checkpoint(path, arrays, {"origin": metadata["origin"] | changes})
    with pytest.raises(CheckpointError, match=message):
        read_source(path)
    save_checkpoint(path, {"other": np.zeros(1)}, {"origin": metadata["origin"]})
    with pytest.raises(CheckpointError, match="expected the weights of a network, found none"):
        read_source(path)


def started(folder, names, seed=7, **switches):
    config = tiny_config(classes=len(names), **switches)
    model = build("misnet", config, seed)
    return model, start_from(model, "misnet", read_source(folder), names)


def test_the_same_classes_take_everything(tmp_path):
    before = write(tmp_path).state_dict()
    model, (taken, fresh) = started(tmp_path, NAMES)
    assert (set(taken), fresh) == (set(before), ())
    assert all(np.array_equal(x, before[name]) for name, x in model.state_dict().items())


@pytest.mark.parametrize("names", [["ant", "bee"], [*NAMES, "eel"], NAMES[::-1]], ids=len)
def test_other_classes_in_number_or_order_start_with_fresh_heads(tmp_path, names):
    before = write(tmp_path).state_dict()
    model, (taken, fresh) = started(tmp_path, names)
    untrained = build("misnet", model.config, 7).state_dict()
    assert set(fresh) == HEADS == heads("misnet", model)
    assert set(taken) == set(before) - HEADS
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x, (untrained if name in HEADS else before)[name])


def test_runs_that_say_no_classes_are_compared_by_number(tmp_path):
    write(tmp_path)
    path = tmp_path / "config.json"
    content = json.loads(path.read_text())
    del content["class_names"]
    path.write_text(json.dumps(content))
    assert started(tmp_path, NAMES[::-1])[1][1] == ()
    assert set(started(tmp_path, NAMES[:3])[1][1]) == HEADS


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"channels": (2, 4)}, r"wrong shape: .*stages\.1\..* \(expected \(.*\), found \(.*\)\)"),
        ({"cells": (1, 2)}, r"missing: stages\.1\.cells\.1\."),
        ({"spatial_weight": "none"}, r"unexpected: stages\.0\.cells\.0\."),
    ],
)
def test_tensors_that_do_not_fit_are_refused_by_name_and_nothing_is_changed(tmp_path, switches, message):
    write(tmp_path)
    config = tiny_config(classes=3, **switches)
    model = build("misnet", config, 7)
    with pytest.raises(CheckpointError, match=rf"weights .*last\.safetensors \(MISNet-XS\) for MISNet-XS: .*{message}"):
        start_from(model, "misnet", read_source(tmp_path), NAMES[:3])
    fresh = build("misnet", config, 7).state_dict()
    assert all(np.array_equal(x, fresh[name]) for name, x in model.state_dict().items())
