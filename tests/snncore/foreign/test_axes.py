"""Time and samples are found again wherever views have put them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncore.foreign.axes import guessed, kept, laid, plain, viewed

T, N = 3, 2


def cells(*rest):
    """[T, N, *rest], each entry the number of its cell."""
    return np.broadcast_to(np.arange(T * N).reshape(T, N, *(1,) * len(rest)), (T, N, *rest))


def in_place(x, axes):
    """Whether bringing the cells to the front brings them to their places."""
    found = laid(x, axes)
    numbers = np.arange(T * N).reshape(T, N, *(1,) * (found.array.ndim - 2))
    return found.leading == 2 and bool((found.array == numbers).all())


TOLD = guessed((T, N, 4, 5), T, N, "TN")


def test_folded_into_a_batch_and_back():
    x = cells(4, 5)
    folded = viewed(TOLD, (T * N, 4, 5))
    assert folded == ((("T", T), ("N", N)), (("", 4),), (("", 5),))
    assert laid(x.reshape(T * N, 4, 5), folded).array.shape == (T, N, 4, 5)
    assert in_place(x.reshape(T * N, 4, 5), folded)
    assert viewed(folded, (T, N, 4, 5)) == TOLD


def test_with_heads_or_tokens_in_one_axis():
    heads = viewed(TOLD, (T * N * 4, 5))
    assert heads[0] == (("T", T), ("N", N), ("", 4))
    found = laid(cells(4, 5).reshape(T * N * 4, 5), heads)
    assert (found.array.shape, found.places) == ((T, N, 4, 5), ((0, 1, 2), (3,)))
    assert viewed(TOLD, (T, N, 2, 2, 5)) == (*TOLD[:2], (("", 2),), (("", 2),), (("", 5),))


def test_samples_before_time():
    x = cells(4).swapaxes(0, 1)
    assert in_place(x, guessed(x.shape, T, N, "NT"))
    folded = viewed(guessed(x.shape, T, N, "NT"), (N * T, 4))
    assert in_place(x.reshape(N * T, 4), folded)


def test_a_view_that_cuts_time_in_two_is_not_followed():
    assert viewed(((("T", 4),), (("N", 3),)), (2, 2, 3)) is None
    assert viewed(((("T", 4),), (("N", 3),)), (6, 2)) is None
    assert viewed(plain((6,)), (4, 2)) is None


def test_a_single_sample_or_timestep_stays_where_it_is():
    one = guessed((T, 1, 4), T, 1, "TN")
    assert viewed(one, (T, 4)) == ((("T", T), ("N", 1)), (("", 4),))
    assert viewed(one, (T, 1, 4)) == one
    first = guessed((1, N, 4), 1, N, "TN")
    assert viewed(first, (N, 4)) == ((("T", 1), ("N", N)), (("", 4),))


def test_shapes_alone():
    assert guessed((T, N, 4), T, N) == guessed((T, N, 4), T, N, "TN")
    assert guessed((N, 4), T, N)[0] == (("N", N),)
    assert guessed((T * N, 4), T, N)[0] == (("T", T), ("N", N))
    assert guessed((1, N, 4), T, N)[:2] == ((("T", 1),), (("N", N),))
    assert guessed((7, 4), T, N) == plain((7, 4))
    assert guessed((), T, N) == ()
    assert laid(np.zeros((7, 4)), plain((7, 4))).leading == 0
    assert kept(TOLD, (T, N, 4, 3)) == (*TOLD[:3], (("", 3),))


@given(st.data())
def test_any_chain_of_views_and_turns(data):
    """As numpy moves the entries, so do the axes: where they are followed, every cell is at its place."""
    rest = data.draw(st.sampled_from([(4,), (2, 3), (6, 2), (1, 4)]))
    x, axes = cells(*rest), guessed((T, N, *rest), T, N, "TN")
    for _ in range(data.draw(st.integers(1, 4))):
        if data.draw(st.booleans()):
            order = data.draw(st.permutations(range(x.ndim)))
            x, axes = x.transpose(order), tuple(axes[i] for i in order)
            continue
        cut = data.draw(st.integers(1, x.ndim))
        end = data.draw(st.integers(cut, x.ndim))
        shape = (*x.shape[: cut - 1], int(np.prod(x.shape[cut - 1 : end])), *x.shape[end:])
        if data.draw(st.booleans()) and shape[-1] % 2 == 0:
            shape = (*shape[:-1], shape[-1] // 2, 2)
        after = viewed(axes, shape)
        if after is None:
            return
        x, axes = x.reshape(shape), after
    assert tuple(int(np.prod([n for _, n in axis])) for axis in axes) == x.shape
    assert in_place(x, axes)


def test_axes_that_are_not_followed_are_noticed():
    assert not in_place(cells(4).swapaxes(0, 1).reshape(N * T, 4), ((("T", T), ("N", N)), (("", 4),)))


def test_without_pytorch_the_message_says_what_to_install(monkeypatch):
    import sys

    import snncore

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r'audit_torch needs PyTorch.*pip install -e "\.\[torch\]"'):
        snncore.audit_torch  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'audit_tensorflow'"):
        snncore.audit_tensorflow  # noqa: B018


def test_all_names_of_the_engine_can_be_imported_without_pytorch(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    names = {}
    exec("from snncore import *", names)
    assert "check_gradients" in names
    assert "audit_torch" not in names
