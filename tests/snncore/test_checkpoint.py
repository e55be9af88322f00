"""Checkpoints: every bit comes back, every damaged byte is noticed, and a failed save leaves the old file whole."""

import json
import os
import stat
import sys

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from snncore.checkpoint import FORMAT_VERSION, CheckpointError, check_tensors, load_checkpoint, save_checkpoint
from snncore.tape import Tensor

METADATA = {"epoch": 3, "variant": "S", "config": {"tau": 2.0, "cells": [2, 2, 1], "seed": None}, "note": "caf\u00e9"}


@pytest.fixture
def tensors():
    rng = np.random.default_rng(0)
    return {
        "stages.0.conv.weight": rng.normal(size=(3, 3, 2, 4)).astype(np.float32),
        "bn.mean": rng.normal(size=5),
        "spikes": rng.integers(0, 3, (2, 3), dtype=np.uint8),
        "step": np.array(2**62 + 1, np.int64),
        "alpha": np.array(0.5, np.float32),
        "none": np.zeros((0, 3), np.float32),
        "minus zero": np.array([-0.0, 5e-324, 1.7976931348623157e308]),
    }


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, x in expected.items():
        assert (found[name].shape, found[name].dtype) == (x.shape, x.dtype), name
        assert found[name].tobytes() == x.tobytes(), name


def test_round_trip_is_bitwise_and_writable(tmp_path, tensors):
    save_checkpoint(tmp_path / "a.safetensors", tensors, METADATA)
    found, metadata = load_checkpoint(str(tmp_path / "a.safetensors"))
    assert_same_bits(found, tensors)
    assert metadata == METADATA
    for x in found.values():
        x[...] = 1  # what was loaded is the caller's own
    assert_same_bits(load_checkpoint(tmp_path / "a.safetensors")[0], tensors)


@given(
    x=hnp.arrays(
        st.sampled_from([np.bool_, np.uint8, np.int32, np.int64, np.float16, np.float32, np.float64]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3),
    ).filter(lambda x: np.isfinite(x).all())
)
def test_round_trip_of_any_array(tmp_path_factory, x):
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    save_checkpoint(path, {"x": x}, {})
    assert_same_bits(load_checkpoint(path)[0], {"x": x})


def test_views_byte_orders_and_scalars_are_stored_by_value(tmp_path):
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    save_checkpoint(tmp_path / "a", {"t": x.T, "f": x[::2, ::-1], "big": x.astype(">f4"), "s": np.float32(2.5)}, {})
    expected = {"t": x.T.copy(), "f": x[::2, ::-1].copy(), "big": x, "s": np.array(2.5, np.float32)}
    assert_same_bits(load_checkpoint(tmp_path / "a")[0], expected)


def test_no_arrays_and_odd_metadata_keys(tmp_path):
    save_checkpoint(tmp_path / "a", {}, {"classes": {10: "ten", 9: "nine"}, "pair": (1, 2)})
    assert load_checkpoint(tmp_path / "a") == ({}, {"classes": {"10": "ten", "9": "nine"}, "pair": [1, 2]})


def test_a_plain_safetensors_reader_can_open_it(tmp_path, tensors):
    save_checkpoint(tmp_path / "a", tensors, METADATA)
    assert_same_bits(safetensors.numpy.load_file(tmp_path / "a"), tensors)
    with safetensors.safe_open(tmp_path / "a", framework="np") as file:
        header = json.loads(file.metadata()["snncore"])
    assert header["format_version"] == FORMAT_VERSION
    assert header["metadata"] == METADATA


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "other").touch()
    save_checkpoint(tmp_path / "a", {}, {})
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


# -- a save that fails --


@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize(
    ("error", "raised"), [(OSError(28, "No space left on device"), CheckpointError), (KeyboardInterrupt(),) * 2]
)
@pytest.mark.parametrize("earlier", [True, False])
def test_failed_save_leaves_the_earlier_file_and_no_other(tmp_path, monkeypatch, tensors, call, error, raised, earlier):
    path = tmp_path / "a.safetensors"
    if earlier:
        save_checkpoint(path, tensors, {"epoch": 1})
    before = path.read_bytes() if earlier else None

    def fail(*args):
        assert len(list(tmp_path.iterdir())) == 1 + earlier  # the temporary file is in the same folder
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(raised if isinstance(raised, type) else type(raised)) as info:
        save_checkpoint(path, {"x": np.ones(3)}, {"epoch": 2})
    monkeypatch.undo()
    if raised is CheckpointError:
        assert "a.safetensors: cannot be written" in str(info.value)
        assert "No space left on device; any earlier file is intact" in str(info.value)
    assert list(tmp_path.iterdir()) == ([path] if earlier else [])
    if earlier:
        assert path.read_bytes() == before
        assert load_checkpoint(path)[1] == {"epoch": 1}


def test_file_is_on_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append(stat.S_IFMT(os.fstat(fd).st_mode)), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
    save_checkpoint(tmp_path / "a", {}, {})
    assert calls[:2] == [stat.S_IFREG, "replace"]
    assert calls[2:] in ([stat.S_IFDIR], [])  # the folder too, where it can be opened


@pytest.mark.parametrize(
    ("tensors", "metadata", "raised", "message"),
    [
        ({"w": np.array([1.0, np.nan, np.inf])}, {}, CheckpointError, r"not written: .*finite values.*w \(2 of 3\)"),
        ({"w": np.ones(2, complex)}, {}, TypeError, "'w': expected booleans, integers or floats, found complex128"),
        ({"w": np.array(["a"])}, {}, TypeError, "'w': expected booleans"),
        ({"w": np.array([None])}, {}, TypeError, "'w': expected booleans"),
        ({"w": [1.0]}, {}, TypeError, "'w': expected an array, found list"),
        ({"w": Tensor(np.ones(1))}, {}, TypeError, "'w': expected an array, found Tensor"),
        ({"__metadata__": np.ones(1)}, {}, ValueError, "'__metadata__' is reserved"),
        ({}, {"loss": np.float32(1)}, TypeError, "metadata: expected what JSON can hold.*float32"),
        ({}, {"a": {1, 2}}, TypeError, "metadata: .*set"),
    ],
)
def test_what_cannot_be_stored_is_refused_before_the_disk_is_touched(tmp_path, tensors, metadata, raised, message):
    save_checkpoint(tmp_path / "a", {}, {"epoch": 1})
    with pytest.raises(raised, match=message):
        save_checkpoint(tmp_path / "a", tensors, metadata)
    assert load_checkpoint(tmp_path / "a") == ({}, {"epoch": 1})
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_save_to_a_missing_folder_or_over_a_folder(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot be written to folder .*missing: No such file"):
        save_checkpoint(tmp_path / "missing" / "a", {}, {})
    (tmp_path / "folder").mkdir()
    with pytest.raises(CheckpointError, match="folder: cannot be written"):
        save_checkpoint(tmp_path / "folder", {}, {})
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


# -- a file that cannot be used --


def test_missing_file_folder_and_empty_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"a\.safetensors: no such file$"):
        load_checkpoint(tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="cannot be opened"):
        load_checkpoint(tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(CheckpointError, match="empty: expected a safetensors file, found an empty file"):
        load_checkpoint(tmp_path / "empty")


@pytest.mark.parametrize("content", [b"\x80\x04K\x01.", b"version https://git-lfs.github.com/spec/v1\n", b"\0" * 64])
def test_another_kind_of_file(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"a: expected a safetensors file, found {len(content)} bytes"):
        load_checkpoint(tmp_path / "a")


def test_truncated_anywhere(tmp_path):
    save_checkpoint(tmp_path / "a", {"w": np.arange(3.0), "n": np.array(7, np.uint8)}, {"epoch": 1})
    whole = (tmp_path / "a").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "a").write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"empty file|truncated"):
            load_checkpoint(tmp_path / "a")


@pytest.mark.parametrize("flip", [0x01, 0x20, 0xFF])
def test_any_changed_byte_is_noticed_or_means_the_same(tmp_path, flip):
    tensors = {"w": np.arange(3.0), "n": np.array(7, np.uint8)}
    save_checkpoint(tmp_path / "a", tensors, {"epoch": 1, "lr": 1e-5})
    whole = (tmp_path / "a").read_bytes()
    unnoticed = []
    for i in range(len(whole)):
        (tmp_path / "a").write_bytes(whole[:i] + bytes([whole[i] ^ flip]) + whole[i + 1 :])
        try:
            found, metadata = load_checkpoint(tmp_path / "a")
        except CheckpointError:
            continue
        assert_same_bits(found, tensors)
        assert metadata == {"epoch": 1, "lr": 1e-5}
        unnoticed.append(whole[i : i + 1])
    assert unnoticed == ([b"e"] if flip == 0x20 else [])  # 1e-05 and 1E-05 are one number


def write(path, tensors, **header):
    text = json.dumps({"format_version": 1, "metadata": {}} | header)
    safetensors.numpy.save_file(tensors, path, {"snncore": text})


def test_safetensors_file_of_someone_else(tmp_path):
    safetensors.numpy.save_file({"w": np.ones(2)}, tmp_path / "a")
    with pytest.raises(CheckpointError, match=r"metadata key 'snncore', found no metadata: .* not one written by snn"):
        load_checkpoint(tmp_path / "a")
    safetensors.numpy.save_file({"w": np.ones(2)}, tmp_path / "a", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"found \['format'\]"):
        load_checkpoint(tmp_path / "a")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", "{}", '{"format_version": "x"}', '{"format_version": 0}'])
def test_metadata_that_is_not_ours(tmp_path, text):
    safetensors.numpy.save_file({"w": np.ones(2)}, tmp_path / "a", {"snncore": text})
    with pytest.raises(CheckpointError, match="a: corrupt: its metadata cannot be read"):
        load_checkpoint(tmp_path / "a")


def test_newer_format_version(tmp_path):
    write(tmp_path / "a", {}, format_version=FORMAT_VERSION + 1)
    with pytest.raises(CheckpointError, match=r"expected format version 1 or older, found 2: use a newer snncore"):
        load_checkpoint(tmp_path / "a")


def test_without_digest(tmp_path):
    write(tmp_path / "a", {"w": np.ones(2)})
    with pytest.raises(CheckpointError, match="corrupt: the SHA-256"):
        load_checkpoint(tmp_path / "a")


def test_values_that_are_not_finite_are_named_and_counted(tmp_path, monkeypatch):
    tensors = {"good": np.ones(9), "bn.var": np.array([1, np.nan, np.inf, -np.inf], np.float32), "m": np.array(np.nan)}
    with monkeypatch.context() as patch:  # save_checkpoint refuses to write such a file
        patch.setattr("snncore.checkpoint._check_finite", lambda arrays, what: None)
        save_checkpoint(tmp_path / "a", tensors, {})
    with pytest.raises(CheckpointError, match=r"2 tensor\(s\) with NaN or .*: bn.var \(3 of 4\), m \(1 of 1\)"):
        load_checkpoint(tmp_path / "a")


# -- a checkpoint of another model --


def test_check_tensors_accepts_what_fits(tensors):
    check_tensors(tensors, {name: np.empty_like(x) for name, x in tensors.items()}, "model")


def test_check_tensors_lists_every_kind_of_difference():
    expected = {"a": np.zeros((2, 3)), "b": np.zeros(2), "c": np.zeros(1, np.float32), "d": np.zeros(1)}
    found = {"a": np.zeros((3, 2)), "b": np.zeros(2), "c": np.zeros(1), "e": np.zeros(1)}
    with pytest.raises(CheckpointError) as info:
        check_tensors(found, expected, "best.safetensors")
    assert str(info.value) == (
        "best.safetensors: checkpoint of another architecture: 1 missing: d; 1 unexpected: e; "
        "1 wrong shape: a (expected (2, 3), found (3, 2)); 1 wrong dtype: c (expected float32, found float64)"
    )


def test_check_tensors_shows_the_first_few():
    expected = {f"w{i}": np.zeros(1) for i in range(12)}
    with pytest.raises(CheckpointError, match=r"architecture: 12 missing: w0, w1, w2, w3, w4, \.\.\.$"):
        check_tensors({}, expected, "model")


def test_a_one_dimensional_array_does_not_pass_for_a_scalar():
    with pytest.raises(CheckpointError, match=r"alpha \(expected \(\), found \(1,\)\)"):
        check_tensors({"alpha": np.zeros(1)}, {"alpha": np.zeros(())}, "model")


def test_metadata_may_be_left_out(tmp_path):
    save_checkpoint(tmp_path / "a.safetensors", {"w": np.ones(2)})
    arrays, metadata = load_checkpoint(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(arrays["w"], [1.0, 1.0])
    assert metadata == {}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([np.ones(1)], "tensors: expected arrays by name, as state_dict.. gives, found a list"),
        (None, "tensors: expected arrays by name, .* found a NoneType"),
        ({"a": np.ma.masked_equal([1.0, 2.0], 1)}, "tensors: 'a': expected an array without a mask"),
    ],
)
def test_what_are_no_arrays_by_name_is_refused(tmp_path, tensors, message):
    with pytest.raises(TypeError, match=message):
        save_checkpoint(tmp_path / "a", tensors)
    assert list(tmp_path.iterdir()) == []
