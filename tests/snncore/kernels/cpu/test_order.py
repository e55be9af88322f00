"""The order in which items of work are handed out."""

import numpy as np

from snncore.kernels.cpu.order import step_through

step_of = step_through.py_func  # the loop itself, not compiled


def share_of_quarters(n, step, threads):
    """How many items of each quarter of 0 .. n - 1 each thread gets, [threads, 4], from `item * step % n` in a row."""
    places = np.arange(n) * step % n
    return np.array([np.bincount(part * 4 // n, minlength=4) for part in np.array_split(places, threads)])


def test_each_item_is_taken_once():
    for n in range(1, 400):
        assert sorted(np.arange(n) * step_of(n) % n) == list(range(n)), n
    assert step_of(0) == 1  # an empty batch


def test_every_thread_gets_its_share_of_every_quarter():
    for n in (16, 64, 96, 100, 128, 256, 1000):
        for threads in (2, 4):
            share = share_of_quarters(n, step_of(n), threads)
            fair = n / 4 / threads
            assert abs(share - fair).max() <= 1 + fair / 8, (n, threads)
    assert share_of_quarters(64, 1, 2).tolist() == [[16, 16, 0, 0], [0, 0, 16, 16]]  # in a row they do not
