"""Pickles of plain values are read as Python reads them; all others are refused, and nothing in them runs."""

import os
import pickle

import numpy as np
import pytest

from misnet.datasets import DataError
from misnet.datasets.formats.pickles import load_plain_pickle

VALUE = {
    "data": np.arange(12, dtype=np.uint8).reshape(3, 4),
    "labels": [0, 255, 70000, -3, 2**40, 1.5, None, True],
    "name": ("a", b"b", ["c", {}]),
}


@pytest.mark.parametrize("protocol", range(5))
def test_plain_values_of_every_protocol(protocol):
    found = load_plain_pickle(pickle.dumps(VALUE, protocol), "f")
    np.testing.assert_array_equal(found.pop("data"), VALUE["data"])
    assert found == {k: v for k, v in VALUE.items() if k != "data"}


def test_columns_first():
    array = np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    np.testing.assert_array_equal(load_plain_pickle(pickle.dumps(array, 2), "f"), array)


class Command:
    """A pickle of it runs a command when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_runs_a_command_is_refused_and_does_not_run(tmp_path, protocol):
    data = pickle.dumps({"data": Command(tmp_path / "made")}, protocol)
    with pytest.raises(DataError, match=r"bad: found a reference to .*mkdir, .*; nothing was run"):
        load_plain_pickle(data, "bad")
    assert not (tmp_path / "made").exists()
    pickle.loads(data)  # Python's own reader runs it
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"(S'1'\ni__builtin__\neval\n.",  # INST
        b"\x80\x02cnumpy\nload\nq\x00X\x01\x00\x00\x00aq\x01\x85q\x02R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
        b"\x80\x02P7\n.",  # PERSID
        b"\x80\x02\x82\x01.",  # EXT1
        b"\x80\x02cnumpy\nndarray\n.",  # an allowed name by itself
        b"\x80\x02cnumpy\nndarray\n)R}b.",
        b"\x80\x02K\x01)R.",  # calls a number
        b"\x80\x02]}b.",  # a state for a list
    ],
)
def test_whatever_names_or_calls_something_is_refused(data):
    with pytest.raises(DataError, match=r"^f: found .*nothing was run$"):
        load_plain_pickle(data, "f")


@pytest.mark.parametrize("array", [np.arange(3.0), np.array(["a"], object), np.zeros(2, [("a", "u1")])])
def test_arrays_of_other_types_are_refused(array):
    with pytest.raises(DataError, match="f: found"):
        load_plain_pickle(pickle.dumps(array, 2), "f")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"\x80\x02}q\x00",
        b"garbage",
        b"\x80\x02s.",
        b"\x80\x02X\xff\xff\xff\x7fa.",
        b"\x80\x02h\x05.",
    ],
)
def test_damaged_pickles_are_named(data):
    with pytest.raises(DataError, match=r"^f: damaged \(.*expected a pickle of plain values"):
        load_plain_pickle(data, "f")


def test_a_message_does_not_hold_the_file():
    with pytest.raises(DataError, match=r"damaged \(no string quotes .*\.\.\.\)") as caught:
        load_plain_pickle(b"S" + b"x" * 100_000 + b"\n.", "f")
    assert len(str(caught.value)) < 300


def test_bytes_as_keys_of_python_2(tmp_path):
    value = {b"data": np.zeros((2, 2), np.uint8), b"": b""}
    for protocol in (0, 1, 2, 3):
        found = load_plain_pickle(pickle.dumps(value, protocol), "f")
        assert list(found) == [b"data", b""]
        assert not found[b"data"].any()


def test_one_text_or_array_many_times_takes_no_more_memory():
    function, text = b"c_codecs\nencode\nq\x00", b"X\x10\x27\x00\x00" + b"a" * 10000
    call = b"\x80\x02](" + function + text + b"X\x06\x00\x00\x00latin1\x86q\x02R"
    with pytest.raises(DataError, match="a text encoded again and again"):
        load_plain_pickle(call + b"h\x00h\x02R" * 1000 + b"e.", "f")
    assert load_plain_pickle(call + b"h\x00h\x02R" + b"e.", "f") == [b"a" * 10000] * 2
    one = np.zeros(50_000, np.uint8)
    found = load_plain_pickle(pickle.dumps([one] * 1000, 3), "f")
    assert len({array.__array_interface__["data"][0] for array in found}) == 1


def nested(levels):
    """A tuple of two tuples of two tuples ...: few bytes, 2**levels values."""
    return b"\x80\x02)" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(levels)) + b"."


def test_few_bytes_cannot_become_many_values():
    with pytest.raises(DataError, match="values within values without end"):
        load_plain_pickle(nested(60), "f")
    with pytest.raises(DataError, match="found a key of tuple"):  # whose hash would take for ever
        load_plain_pickle(b"\x80\x02}" + nested(60)[2:-1] + b"K\x01s.", "f")
    assert (
        load_plain_pickle(b"\x80\x02]r\xff\xff\xff\x7f.", "f") == []
    )  # memo 2**31: the reader in C makes room for all
