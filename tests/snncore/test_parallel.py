"""Ranks: slices of a batch, sums that no order changes, and the launchers that are refused."""

import math
import sys

import numpy as np
import pytest

from snncore import BackendError
from snncore.functions.synchronised import whole_moments
from snncore.kernels import cpu, reference
from snncore.kernels.reference import binned
from snncore.kernels.reference.binned import binned_largest, binned_sums
from snncore.launcher import launched, world
from snncore.mpi import timeout_of_ranks
from snncore.parallel import Comm, CommError, Share, slice_of
from snncore.rng import batch_random
from tests.support.ranks import on_ranks

LAUNCHERS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PMIX_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID")


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_slices_cover_a_batch_once_and_differ_by_one_at_most(size):
    for samples in range(size, 30):
        slices = [slice_of(samples, rank, size) for rank in range(size)]
        assert [i for s in slices for i in range(samples)[s]] == list(range(samples))
        assert {s.stop - s.start for s in slices} <= {samples // size, samples // size + 1}


def test_fewer_samples_than_ranks_go_to_all():
    assert [slice_of(2, rank, 3) for rank in range(3)] == [slice(0, 2)] * 3
    assert Share(Comm(), 0, 2, 2).whole


def wide(rng, dtype):
    """Entries over many orders of magnitude, a channel of zeros among them."""
    x = rng.standard_normal((3, 8, 5, 4)) * 2.0 ** rng.integers(-40, 10, (3, 8, 5, 4))
    x[..., 2] = 0
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binned_sums_are_the_true_sums_and_no_order_changes_a_bit(rng, dtype):
    x = wide(rng, dtype)
    top = np.ldexp(1.0, np.frexp(binned_largest(x))[1])
    flat = x.reshape(-1, 4)
    sums = binned_sums(x, top)
    right = [math.fsum(flat[:, c].astype(np.float64)) for c in range(4)]
    np.testing.assert_allclose(sums[::-1].sum(axis=0), right, rtol=1e-15, atol=len(flat) * 2.0**-69 * top.max())
    for order in (np.arange(len(flat))[::-1], rng.permutation(len(flat))):
        parts = np.array_split(flat[order], 7)
        np.testing.assert_array_equal(sum(binned_sums(part[None], top) for part in parts), sums)


def test_plain_sums_depend_on_the_order(rng):
    """That the comparison above can fail."""
    flat = wide(rng, np.float64).reshape(-1, 4)
    assert any((flat[rng.permutation(len(flat))].sum(axis=0) != flat.sum(axis=0)).any() for _ in range(10))


@pytest.mark.parametrize("centred", [False, True])
def test_the_compiled_sums_are_those_of_the_reference(rng, centred):
    x = np.tile(wide(rng, np.float32), (1, 10, 5, 1))  # more rows than a group
    top = np.ldexp(1.0, np.frexp(binned_largest(x))[1])
    centre, top = (x.mean(axis=(0, 1, 2), dtype=np.float64), 4 * top * top) if centred else (None, top)
    np.testing.assert_array_equal(cpu.binned_sums(x, top, centre), binned_sums(x, top, centre))


@pytest.mark.parametrize("kernels", [reference, cpu], ids=["reference", "cpu"])
def test_moments_are_the_same_bits_on_any_number_of_ranks(rng, kernels):
    x = rng.normal([0, 1e3, -5], [1, 2, 0.1], (3, 7, 2, 3)).astype(np.float32)
    alone = whole_moments(kernels, x, Share(Comm(), 0, 7, 7))
    np.testing.assert_allclose(alone.mean, x.mean(axis=(0, 1, 2), dtype=np.float64), rtol=1e-15)
    np.testing.assert_allclose(alone.var, x.var(axis=(0, 1, 2), dtype=np.float64), rtol=1e-13)
    sums = reference if kernels is cpu else kernels  # compiled kernels take one thread at a time

    def part(comm):
        place = slice_of(7, comm.rank, comm.size)
        return whole_moments(sums, x[:, place], Share(comm, place.start, place.stop, 7, True))

    for ranks in (2, 3):
        for found in (*on_ranks(ranks, part), kernels.binned_moments(x)):
            assert found.entries == alone.entries == 42
            np.testing.assert_array_equal(found.mean, alone.mean)
            np.testing.assert_array_equal(found.var, alone.var)


def test_moments_of_more_entries_than_can_be_summed_exactly_are_refused(monkeypatch):
    monkeypatch.setattr(binned, "ENTRIES", 5)
    x = np.ones((3, 2, 4), np.float32)
    for run in (reference.binned_moments, lambda x: whole_moments(reference, x, Share())):
        with pytest.raises(ValueError, match="expected at most 5 entries a channel, found 6"):
            run(x)
    assert reference.binned_moments(x[:2]).entries == 4


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_on_one_rank_is_on_all(bad):
    def part(comm):
        x = np.ones((2, 1, 2), np.float32)
        x[0, 0, 1] = bad if comm.rank == 1 else 2
        with np.errstate(all="ignore"):
            return whole_moments(reference, x, Share(comm, comm.rank, comm.rank + 1, 2, True))

    for moments in on_ranks(2, part):
        assert moments.mean[0] == 1
        assert not np.isfinite(moments.mean[1])
        assert np.isnan(moments.var[1])


def test_ranks_draw_their_part_of_what_one_draws():
    whole = batch_random((3, "x"), (2, 7, 3), 1)
    for a, b in ((0, 3), (3, 7)):
        with Share(Comm(), a, b, 7).shared():
            np.testing.assert_array_equal(batch_random((3, "x"), (2, b - a, 3), 1), whole[:, a:b])


def test_one_rank_has_nothing_to_do():
    comm, x = Comm(), np.arange(3.0)
    for call in (comm.sum, comm.max, comm.broadcast, comm.sum_flat):
        call(x)
    comm.barrier()
    assert x.tolist() == [0, 1, 2]
    assert comm.exchange("a") == ["a"]
    assert comm.any(True, False) == (True, False)
    with pytest.raises(CommError, match="why"):
        comm.fail("why")


def test_buckets_are_one_sum_and_flags_are_of_any_rank():
    def work(comm):
        x = np.arange(10.0) + comm.rank
        comm.sum_flat(x, bucket=4)
        return x.tolist(), comm.any(comm.rank == 1, False), list(comm.meeting.calls[comm.rank])

    (x, flags, calls), other = on_ranks(2, work)
    assert x == (2 * np.arange(10.0) + 1).tolist()
    assert flags == (True, False)
    assert calls == other[2] == [("sum", 4), ("sum", 4), ("sum", 2), ("max", 2)]


@pytest.mark.parametrize(
    ("variables", "count"),
    [({}, 1), ({"PMI_SIZE": "1"}, 1), ({"PMI_SIZE": "3"}, 3), ({"OMPI_COMM_WORLD_SIZE": "2"}, 2),
     ({"SLURM_STEP_NUM_TASKS": "4"}, 1), ({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "0"}, 4)],
)  # fmt: skip
def test_launchers_say_how_many_they_started(monkeypatch, variables, count):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert launched() == count


def test_without_a_launcher_mpi_is_not_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    assert world().size == 1


def test_several_processes_without_mpi_are_refused(monkeypatch):
    """Each would train alone, into the same folder."""
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.setenv("PMI_SIZE", "2")
    with pytest.raises(BackendError, match=r"2 processes were started together, .*pip install mpi4py mpich"):
        world()


class OtherMPI:
    class MPI:
        class COMM_WORLD:
            @staticmethod
            def Get_size():
                return 1

        @staticmethod
        def Get_library_version():
            return "MPICH Version: 5.0.2"


def test_a_launcher_of_another_mpi_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", OtherMPI)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    with pytest.raises(BackendError, match=r"2 processes were started together, but MPI sees 1: .* than MPICH"):
        world()


def test_a_timeout_that_is_none_is_refused(monkeypatch):

    for text in ("0", "soon", "inf"):
        monkeypatch.setenv("SNNCORE_COMM_TIMEOUT", text)
        with pytest.raises(BackendError, match=f"expected seconds above 0, found '{text}'"):
            timeout_of_ranks()
