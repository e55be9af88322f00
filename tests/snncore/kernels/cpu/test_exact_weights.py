"""Packed weights are the reference's integers, and what is kept holds until a weight changes."""

import gc

import numpy as np
import pytest
from hypothesis import given

from snncore.kernels.cpu import exact_weights
from snncore.kernels.cpu.exact_weights import digest_of, kept, pack_for_events, pack_for_tiles, powers
from snncore.kernels.reference.exact import fixed_point
from tests.snncore.kernels.test_exact import matrices


@given(matrices())
def test_packed_weights_are_the_integers_of_the_reference(w):
    w = w[None, None]
    right = fixed_point(w)
    events, tiles = pack_for_events(w, 16), pack_for_tiles(w, 32, True)
    assert events.scale.tolist() == tiles.scale.tolist() == right.scale.tolist()
    np.testing.assert_array_equal(tiles.weights[0, :, : w.shape[3]], right.q[0, 0])
    block = min(64, w.shape[2])
    rows = np.concatenate(list(events.weights[0, :, 0, :, : w.shape[3]]))  # [blocks * block, Co]
    np.testing.assert_array_equal(rows[: w.shape[2]], right.q[0, 0])
    assert not rows[w.shape[2] :].any()
    parts = [rows[c : c + block].astype(np.int64) for c in range(0, len(rows), block)]
    assert events.most == max(max(part.clip(0).sum(0).max(), -part.clip(None, 0).sum(0).min()) for part in parts)
    np.testing.assert_array_equal(pack_for_tiles(w, 32, False).weights[0, :, : w.shape[3]], w[0, 0])


def test_weights_on_the_edge_are_counted(monkeypatch):
    """64 ones are 2^30 at a power that 63 may have: there the L1 norm does not decide."""
    asked = []
    monkeypatch.setattr(exact_weights, "fixed_point", lambda w: asked.append(w) or fixed_point(w))
    w = np.full((1, 1, 64, 3), 0.77, np.float32)
    w[..., 1] = 1
    assert powers(w).tolist() == [24, 23, 24]
    assert len(asked) == 1


@pytest.mark.parametrize("shape", [(1,), (63,), (64, 9), (1000, 7)])
def test_a_digest_follows_every_bit(rng, shape):
    w = rng.standard_normal(shape).astype(np.float32)
    before = digest_of(w)
    np.testing.assert_array_equal(before, digest_of(w.copy()))
    for place in {0, w.size // 2, w.size - 1}:
        changed = w.copy().reshape(-1)
        changed[place] = np.nextafter(changed[place], np.float32(9))
        assert (digest_of(changed) != before).any()
    if w.size > 64 * 8:  # two words of one lane, exchanged
        changed = w.copy().reshape(-1)
        changed[[0, 64]] = changed[[64, 0]]
        assert (digest_of(changed) != before).any()
    assert (digest_of(-(w * 0)) != digest_of(w * 0)).any()  # 0 and -0 are other bits


@pytest.mark.parametrize("shape", [(64, 9), (128, 65), (3, 3, 64, 64)])
@pytest.mark.parametrize("bit", [31, 30, 23, 22, 0])
def test_changes_of_the_same_bit_do_not_cancel(rng, shape, bit):
    """A product carries differences upwards alone: two flipped signs in a lane once gave the old digest."""
    w = rng.choice([-1, 1], shape).astype(np.float32)  # as binary networks have them
    before = digest_of(w)
    flat = np.arange(w.size)
    chosen = [
        flat % 9 >= 0,
        flat % shape[-1] == 3,
        (flat == 0) | (flat == 64),
        (flat == w.size - 65) | (flat == w.size - 1),
    ]
    chosen += [np.isin(flat, rng.choice(w.size, 2 * k, replace=False)) for k in (1, 2, 50)]
    for places in chosen:
        changed = w.copy().reshape(-1)
        changed.view(np.uint32)[places] ^= np.uint32(1 << bit)
        assert (digest_of(changed) != before).any()


def packs():
    """A function that packs, and the list of what it was asked to pack."""
    asked = []
    return asked, lambda w: asked.append(w.copy()) or pack_for_events(w[None, None], 16)


def test_weights_are_packed_again_when_their_bits_change_and_not_before(rng):
    flat = rng.standard_normal(2000).astype(np.float32)
    asked, pack = packs()
    first = kept(flat[:1000].reshape(100, 10), ("a",), pack)
    assert kept(flat[:1000].reshape(100, 10), ("a",), pack) is first  # another view of the same memory
    flat[1500] += 1
    assert kept(flat[:1000].reshape(100, 10), ("a",), pack) is first
    flat[999] += 1  # in place, and nobody was told
    again = kept(flat[:1000].reshape(100, 10), ("a",), pack)
    assert (again.weights != first.weights).any()
    assert len(asked) == 2
    for view, layout in ((flat[1000:].reshape(100, 10), ("a",)), (flat[:1000].reshape(100, 10), ("b",))):
        kept(view, layout, pack)
    kept(flat[:1000].reshape(10, 100).T, ("a",), pack)  # another order of the same numbers
    assert len(asked) == 5
    np.testing.assert_array_equal(asked[-1], flat[:1000].reshape(10, 100).T)


def test_what_was_packed_goes_with_the_weights(rng):
    asked, pack = packs()
    before = len(exact_weights._kept)
    w = rng.standard_normal((8, 8)).astype(np.float32)
    kept(w, ("a",), pack)
    assert len(exact_weights._kept) == before + 1
    del w
    gc.collect()
    assert len(exact_weights._kept) == before
    assert len(asked) == 1
