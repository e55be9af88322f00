"""Which stream a layer is of, and which layers are shown."""

import pytest

from misnet.visual.layers import ALL, by_place, spread_out, stream_of

AV, TVW = ("audio", "visual"), ("touch", "visual", "words")


@pytest.mark.parametrize(
    ("path", "streams", "expected"),
    [
        ("stages.0.cells.1.mlif.a", AV, "audio"),
        ("stages.0.unimodal.v.neuron", AV, "visual"),
        ("stages.0.cells.0.mlif.v#2", AV, "visual"),
        ("encoders.audio.stem", AV, "audio"),
        ("encoders.audio.attention.v", AV, "audio"),  # v: the values
        ("audio.visual", AV, ALL),
        ("head.value", AV, ALL),
        ("anything", ("visual",), "visual"),
        ("words.0", TVW, "words"),
        ("t.0", ("touch", "taste"), ALL),  # the letter is of both
        ("neurons.0", TVW, ALL),
    ],
)
def test_a_path_names_its_stream(path, streams, expected):
    assert stream_of(path, streams) == expected


def test_layers_of_several_streams_stand_together_in_their_order():
    found = by_place({"s.a.neuron": 1, "s.v.neuron": 2, "head": 3, "encoders.visual.x": 4}, AV)
    assert found == {"s.*": {"audio": 1, "visual": 2}, "head": {ALL: 3}, "encoders.visual.x": {"visual": 4}}
    assert list(found) == ["s.*", "head", "encoders.visual.x"]
    values = {"encoders.audio.v.neuron": 1, "encoders.visual.v.neuron": 2}
    assert by_place(values, AV) == {"encoders.*.v": {"audio": 1, "visual": 2}}
    assert by_place({"a.neuron": 1, "b": 2}, ("audio",)) == {"a": {"audio": 1}, "b": {"audio": 2}}


def test_names_are_spread_from_the_first_to_the_last():
    names = list("abcdefghij")
    assert spread_out(names, 4) == ["a", "d", "g", "j"]
    assert (spread_out(names, 20), spread_out(names, 1), spread_out([], 3)) == (names, ["j"], [])
