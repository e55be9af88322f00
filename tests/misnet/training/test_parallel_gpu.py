"""Steps on several GPUs, as NCCL would be told to do them: the same calls on each rank, and no copy by the host."""

import sys
import types

import numpy as np
import pytest

from misnet import MISNet
from misnet.training.ranks import share_of
from misnet.training.step import Totals, train_step
from snncore.nccl import NCCLComm
from snncore.optim import Adam
from snncore.parallel import slice_of
from tests.misnet.tiny import make_batch, tiny_config
from tests.support import double
from tests.support.double import ledger
from tests.support.shim.build import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")


class Backend:
    """Stands for `cupyx.distributed.NCCLBackend`: notes what it is told, and changes nothing."""

    made: list["Backend"] = []  # noqa: RUF012

    def __init__(self, n_devices, rank, host="127.0.0.1", port=13333, use_mpi=False):
        assert use_mpi
        self.size, self.rank, self.calls = n_devices, rank, []
        Backend.made.append(self)

    def _note(self, name, x, *more):
        assert not isinstance(x, np.ndarray), "an array of the host"
        assert x.flags.c_contiguous
        self.calls.append((name, x.shape, x.dtype.str, *more))

    def all_reduce(self, in_array, out_array, op="sum", stream=None):
        assert in_array is out_array
        self._note("all_reduce", in_array, op, stream is not None)

    def broadcast(self, in_out_array, root=0, stream=None):
        self._note("broadcast", in_out_array, root)


class FakeMPI:
    """A communicator of two ranks that is asked for nothing but its numbers."""

    COMM_TYPE_SHARED = 0

    def __init__(self, rank):
        self.rank = rank

    def Idup(self):
        return self, types.SimpleNamespace(Test=lambda: True)

    def Split_type(self, kind):
        return self

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return 2

    def Free(self): ...


@pytest.fixture
def gpu(monkeypatch):
    with double.installed() as cupy:
        distributed = types.ModuleType("cupyx.distributed")
        distributed.NCCLBackend = Backend
        monkeypatch.setitem(sys.modules, "cupyx.distributed", distributed)
        monkeypatch.setitem(sys.modules, "mpi4py", types.SimpleNamespace(MPI=FakeMPI))
        monkeypatch.setattr(Backend, "made", [])
        yield cupy


def step_of(gpu, rank, n, synchronised):
    """What NCCL was told in a step of a rank, and what the ledger counted."""
    config = tiny_config(channels=(4, 6))
    comm = NCCLComm(FakeMPI(rank))
    model = MISNet(config)
    model.to("cuda")
    optimizer = Adam(model.named_parameters(), 0.01)
    place = slice_of(n, rank, 2)
    *streams, labels = make_batch(config, n=n)
    part = (*(gpu.asarray(x[:, place].copy()) for x in streams), gpu.asarray(labels[place]))
    share = share_of(comm, place.start, place.stop, n, synchronised)
    for step in range(2):
        ledger.clear()
        train_step(model, optimizer, 0.01, part, Totals(), step, share=share)
    events = dict(ledger.events)
    return comm.nccl.calls, events, optimizer.flat.g.size


@pytest.mark.parametrize("synchronised", [True, False])
def test_two_ranks_tell_nccl_the_same_in_the_same_order_without_the_host(gpu, synchronised):
    (first, events, size), (second, *_) = (step_of(gpu, rank, 5, synchronised) for rank in (0, 1))
    assert first == second
    beside = not synchronised  # gradients then travel during backward, on a stream of their own
    assert ("all_reduce", (size,), "<f4", "sum", beside) in first
    assert ("all_reduce", (1,), "<f4", "sum", False) in first  # the loss
    assert any(call[3] == "max" for call in first) is synchronised
    events.pop("launch")
    assert events == {"d2h": 1}  # the reading at the end of a step


def test_a_batch_of_one_sample_takes_the_gradient_of_rank_0(gpu):
    (first, *_), (second, *_) = (step_of(gpu, rank, 1, True) for rank in (0, 1))
    assert first == second
    assert {call[0] for call in first} == {"broadcast"}


def test_an_array_of_the_host_does_not_go_to_nccl(gpu):
    """That the checks above can fail."""
    with pytest.raises(AssertionError, match="an array of the host"):
        NCCLComm(FakeMPI(0)).nccl.all_reduce(*[np.zeros(3)] * 2)
