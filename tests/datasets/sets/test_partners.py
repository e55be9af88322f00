"""Pairs of one label, drawn with a generator."""

import numpy as np
import pytest

from misnet.datasets.sets.partners import pair_by_label
from snncore.rng import named_rng


def test_pairs_have_one_label_and_use_all_choices():
    labels, choices = np.array([0, 2, 0, 1] * 50), np.array([2, 1, 0, 0, 5])
    pairing = pair_by_label(labels, choices, named_rng(0, "pairs"))
    assert (choices[pairing] == labels).all()
    assert set(pairing) == {0, 1, 2, 3}
    assert pairing.tolist() == pair_by_label(labels, choices, named_rng(0, "pairs")).tolist()
    assert pairing.tolist() != pair_by_label(labels, choices, named_rng(1, "pairs")).tolist()


def test_a_label_without_a_choice_is_named():
    with pytest.raises(LookupError) as error:
        pair_by_label(np.array([1, 3]), np.array([1]), named_rng(0))
    assert error.value.args == (3,)
