"""Files of weights: what is written is read, and whatever is in a file, reading it says what is wrong and no more."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from misnet.interchange.files import npz_bytes, read_weights, torch_bytes
from snncore.interchange import InterchangeError

ARRAYS = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(0.5), "n": np.array(3)}
ABOUT = {"format": 1, "model": "sew-resnet18", "network": {"timesteps": 2}, "class_names": ["x", "y"]}


def contents():
    return {"npz": npz_bytes(ARRAYS, ABOUT), "safetensors": torch_bytes(ARRAYS, ABOUT, Path("w.safetensors"))}


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_what_is_written_is_read(tmp_path, kind):
    path = tmp_path / f"w.{kind}"
    path.write_bytes(contents()[kind])
    arrays, about = read_weights(path)
    assert about == ABOUT
    assert set(arrays) == set(ARRAYS)
    for name, x in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], x)
        assert (arrays[name].shape, arrays[name].dtype) == (x.shape, x.dtype)


def test_weights_that_say_nothing(tmp_path):
    save_file({"a": np.ones(3)}, tmp_path / "w.safetensors")
    np.savez(tmp_path / "w.npz", a=np.ones(3))
    for kind in ("safetensors", "npz"):
        arrays, about = read_weights(tmp_path / f"w.{kind}")
        assert (list(arrays), about) == (["a"], {})


def test_objects_texts_and_values_without_end_are_refused(tmp_path):
    path = tmp_path / "w.npz"
    for value, words in (
        (np.array([{}], object), "expected an archive of numpy.savez, found none that is whole"),
        (np.array("text"), "a: expected numbers, found type <U4"),
        (np.array([1, np.inf, np.nan]), "a: expected finite values, found 2 others"),
    ):
        np.savez(path, a=value)
        with pytest.raises(InterchangeError, match=f"w.npz: {words}"):
            read_weights(path)
    path.write_bytes(npz_bytes({"a": np.ones(2)}, {}))
    with pytest.raises(InterchangeError, match="to name model, network and format, found it damaged"):
        read_weights(path)
    np.savez(path, a=np.ones(2), about=np.array("[" * 10**5))
    with pytest.raises(InterchangeError, match="found it damaged"):
        read_weights(path)


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_damaged_files_are_refused_or_hold_arrays(tmp_path, kind):
    whole, rng, refused = contents()[kind], np.random.default_rng(7), 0
    path = tmp_path / f"w.{kind}"
    for _ in range(60):
        content, at = bytearray(whole), int(rng.integers(len(whole)))
        if rng.integers(2):
            content[at] ^= 1 << int(rng.integers(8))
        else:
            del content[at : at + int(rng.integers(1, 100))]
        path.write_bytes(content)
        try:
            arrays, about = read_weights(path)
            assert all(isinstance(x, np.ndarray) for x in arrays.values())
            json.dumps(about)
        except InterchangeError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ")  # noqa: PT017
    assert refused > 20
