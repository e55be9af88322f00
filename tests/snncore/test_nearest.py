"""The known name that a mistyped one is nearest to."""

import pytest

from snncore.nearest import nearest, nearest_words


@pytest.mark.parametrize(
    ("typed", "found"),
    [("spikformr", "spikformer"), ("MISNET", "misnet"), ("lfi", "lif"), ("qqq", None), ("", None), (3, None)],
)
def test_the_nearest_name(typed, found):
    known = ("misnet", "spikformer", "lif", "plif")
    assert nearest(typed, known) == found
    assert nearest_words(typed, known) == ("" if found is None else f"; nearest: {found}")


def test_names_keep_their_capitals():
    assert nearest("xs", ("XS", "S", "L", "XL")) == "XS"
    assert nearest("sl", ("XS", "S", "L", "XL"), cutoff=0.9) is None
