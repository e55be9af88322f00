"""The order in which items of work are handed out."""

from snncore.kernels.cpu.compiled import compiled

__all__ = ["step_through"]

GOLDEN = 0.6180339887498949


@compiled(inline=True)
def step_through(n):
    """Return a step with which `item * step % n` takes each of 0 .. n - 1 once, any few in a row far from each other.

    A thread of `prange` gets items in a row. Images lie by timesteps, and at the first ones, where membranes start
    empty, a layer fires less: half of the images in a row are not half of the spikes. With a step near n times the
    golden ratio, whose multiples fill a circle evenly, every thread gets its share of all timesteps.
    """
    step = int(n * GOLDEN) | 1
    while True:
        a, b = n, step
        while b > 0:
            a, b = b, a % b
        if a == 1:
            break
        step += 2
    return step
