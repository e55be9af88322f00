"""Gradients added up while backward goes on: final when they are sent, in one order on all ranks, the same bits."""

import numpy as np
import pytest

from snncore import Tensor
from snncore.optim import SGD
from snncore.overlap import Overlap
from snncore.parallel import Begun
from tests.support.ranks import on_ranks


class Noting(Begun):
    """A sum that is done when it is waited for; x must be then what it was when it was begun."""

    def __init__(self, comm, x, buffer):
        self.comm, self.x, self.before = comm, x, x.copy()
        self.place = (x.__array_interface__["data"][0] - buffer.__array_interface__["data"][0]) // x.itemsize

    def wait(self):
        np.testing.assert_array_equal(self.x, self.before)
        self.comm.sum(self.x)


def noted(comm, flat):
    """A communicator that notes in `begun` what is begun, and in `waits` what waits."""
    begun, events = [], []

    def begin_sum(x):
        begun.append(Noting(comm, x, flat.g))
        events.append(("begun", begun[-1].place))
        return begun[-1]

    comm.begin_sum = begin_sum
    return begun, events


def listening(overlap, p, events):
    """Note the name of each parameter that is final."""
    told = overlap.final
    overlap.final = lambda leaf: (events.append(next((n for n in p if p[n] is leaf), "other")), told(leaf))
    return overlap


NAMES = ("a", "b", "c", "unused", "shared", "last")


def parameters(rng):
    """Of 64 entries each, but one that reaches over two buckets and one that is small."""
    sizes = {"a": 64, "b": 150, "c": 3, "unused": 64, "shared": 64, "last": 64}
    return {name: Tensor(rng.standard_normal(sizes[name]), requires_grad=True) for name in NAMES}


def loss_of(p, x, order=("a", "b", "c", "last")):
    """`shared` is used first and last, so that its gradient is final only at the end; `unused` is not."""
    y = (p["shared"] * x[:64]).sum()
    for name in order:
        y = y + (p[name] * x[: p[name].size]).sum() * y
    return y + (p["shared"] * p["shared"]).sum()


def gradients(comm, overlapped, order=("a", "b", "c", "last"), passes=1):
    rng = np.random.default_rng(3)
    p = parameters(rng)
    optimizer = SGD(p.items(), 0.1)
    optimizer.zero_grad()
    x = np.random.default_rng(comm.rank).standard_normal(150)
    flat, begun, events = optimizer.flat, [], []
    for k in range(passes):
        value = loss_of(p, x + k, order)
        if k + 1 < passes or not overlapped:
            value.backward()
            continue
        begun, events = noted(comm, flat)
        overlap = listening(Overlap(flat, comm, bucket=128), p, events)
        with overlap.watching():
            value.backward()
        events.append("backward is over")
        overlap.finish()
    if not overlapped:
        flat.gather()
        comm.sum_flat(flat.g, bucket=128)
    return flat.g.copy(), {name: p[name].grad for name in p}, [each.place for each in begun], events


@pytest.mark.parametrize("passes", [1, 3])
@pytest.mark.parametrize("ranks", [2, 3])
def test_the_sums_are_those_without_overlap_bit_for_bit(ranks, passes):
    plain = on_ranks(ranks, lambda comm: gradients(comm, False, passes=passes))
    overlapped = on_ranks(ranks, lambda comm: gradients(comm, True, passes=passes))
    for (g, of_name, begun, _), (right, expected, *_) in zip(overlapped, plain, strict=True):
        np.testing.assert_array_equal(g, right)
        assert abs(g).sum() > 1
        assert of_name["unused"] is expected["unused"] is None
        for name in set(NAMES) - {"unused"}:
            np.testing.assert_array_equal(of_name[name], expected[name], err_msg=name)
        assert begun == [384, 256, 128, 0]


def test_sums_begin_before_backward_is_over_and_not_before_all_their_gradients_are_final():
    (*_, events), _ = on_ranks(2, lambda comm: gradients(comm, True))
    # last is final first, but `shared` beside it, which is used twice, only at the end: all wait for it
    assert events[:4] == ["last", "c", "b", "a"]
    assert events.index("shared") < events.index(("begun", 384)) < events.index("backward is over")
    early, _ = on_ranks(2, early_events)
    early.remove("other")
    assert early == ["last", ("begun", 384), "c", ("begun", 256), "b", ("begun", 128), "a", ("begun", 0)]


def early_events(comm):
    """Without the weight that is used twice."""
    p = parameters(np.random.default_rng(3))
    optimizer = SGD(p.items(), 0.1)
    optimizer.zero_grad()
    _, events = noted(comm, optimizer.flat)
    overlap = listening(Overlap(optimizer.flat, comm, bucket=128), p, events)
    y = Tensor(np.ones(()), requires_grad=True)
    for name in ("a", "b", "c", "last"):
        y = y + (p[name] * np.ones(p[name].size)).sum() * y
    with overlap.watching():
        y.backward()
    overlap.finish()
    return events


def test_ranks_whose_gradients_come_in_another_order_begin_in_the_same_one():
    orders = [("a", "b", "c", "last"), ("last", "c", "b", "a")]
    first, second = on_ranks(2, lambda comm: gradients(comm, True, orders[comm.rank]))
    plain = on_ranks(2, lambda comm: gradients(comm, False, orders[comm.rank]))
    assert [e for e in first[3] if e in NAMES] != [e for e in second[3] if e in NAMES]
    assert first[2] == second[2] == [384, 256, 128, 0]
    np.testing.assert_array_equal(first[0], plain[0][0])
    np.testing.assert_array_equal(second[0], plain[0][0])


def test_a_sum_that_is_begun_too_early_is_seen():
    """Negative: a weight that is used twice, taken for final after its first gradient."""

    def work(comm):
        p = parameters(np.random.default_rng(3))
        optimizer = SGD(p.items(), 0.1)
        optimizer.zero_grad()
        noted(comm, optimizer.flat)
        overlap = Overlap(optimizer.flat, comm, bucket=128)
        value = loss_of(p, np.ones(150))
        overlap.final(p["last"])
        overlap.final(p["shared"])
        overlap.final(p["unused"])
        value.backward()
        overlap.finish()

    with pytest.raises(AssertionError, match="Arrays are not equal"):
        on_ranks(2, work)


def test_a_gradient_that_was_put_elsewhere_is_brought_home():
    def work(comm):
        p = {"w": Tensor(np.ones(3), requires_grad=True)}
        optimizer = SGD(p.items(), 0.1)
        p["w"].grad_home = None  # as another optimizer leaves it
        overlap = Overlap(optimizer.flat, comm)
        with overlap.watching():
            (p["w"] * np.full(3, 2.0 + comm.rank)).sum().backward()
        overlap.finish()
        return p["w"].grad, optimizer.flat.g

    for grad, buffer in on_ranks(2, work):
        assert grad.tolist() == buffer[:3].tolist() == [5, 5, 5]
