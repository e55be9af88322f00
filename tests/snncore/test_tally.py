"""Numbers kept on a device and read at once."""

import numpy as np
import pytest

from snncore.tally import SLOTS, Tally
from tests.support import double
from tests.support.double import ledger
from tests.support.shim.build import compiler

needs_compiler = pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")


def test_on_the_cpu_a_tally_holds_the_same():
    tally = Tally(np)
    spikes = (np.arange(100) % 3 == 0).astype(np.uint8)
    slots = [tally.count(spikes), tally.keep(np.float32(0.1)), *(tally.keep(np.array(k)) for k in range(SLOTS))]
    reading = tally.read()
    assert reading.count(slots[0]) == 34
    assert reading.number(slots[1]) == float(np.float32(0.1))
    assert [reading.number(slot) for slot in slots[2:]] == list(range(SLOTS))


@needs_compiler
def test_counts_and_numbers_come_back_from_their_slots_by_one_copy():
    with double.installed() as cupy:
        tally = Tally(cupy)
        spikes = cupy.asarray((np.arange(100) % 3 == 0).astype(np.uint8))
        values = [cupy.full((), x, np.float32) for x in (0.1, np.nan, -np.inf)]
        ledger.clear()
        slots = [tally.count(spikes), *(tally.keep(x) for x in values), tally.count(spikes[:4])]
        assert set(ledger.events) == {"launch"}
        reading = tally.read()
        assert ledger.events["d2h"] == 1
        assert [reading.count(slots[0]), reading.count(slots[4])] == [34, 2]
        assert reading.number(slots[1]) == float(np.float32(0.1))
        assert np.isnan(reading.number(slots[2]))
        assert reading.number(slots[3]) == -np.inf


@needs_compiler
def test_more_numbers_than_slots_take_more_copies():
    with double.installed() as cupy:
        tally = Tally(cupy)
        slots = [tally.keep(cupy.full((), k, np.float64)) for k in range(SLOTS + 3)]
        reading = tally.read()
        assert [reading.number(slot) for slot in slots] == list(range(SLOTS + 3))
        assert Tally(cupy).read().slots.size == 0


@needs_compiler
def test_spikes_that_wait_to_be_counted_together_get_their_own_slots():
    with double.installed() as cupy:
        tally, trains = Tally(cupy), [cupy.asarray(np.arange(n, dtype=np.uint8)) for n in (2, 33, 17, 5, 90, 4)]
        numbers = [tally.keep(cupy.zeros(())) for _ in range(SLOTS - 3)]  # the fourth count begins another chunk
        ledger.clear()
        slots = [tally.count(s) for s in trains]
        kept = tally.keep(cupy.full((), 0.5))
        assert ledger.events["launch"] == 2  # of three before the end of the chunk, of three after it
        slots.append(tally.count(trains[0]))
        reading = tally.read()
        assert [reading.count(slot) for slot in slots] == [1, 32, 16, 4, 89, 3, 1]
        assert reading.number(kept) == 0.5
        assert len(numbers) + len(slots) + 1 == tally.used
