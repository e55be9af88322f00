"""Pieces of work shared by ranks: each done once, every result on every rank in one order."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from snncore import sharing
from snncore.launcher import without_launcher
from snncore.parallel import Comm
from snncore.sharing import hand_out, in_turn
from tests.support.ranks import on_ranks


@pytest.mark.parametrize("pieces", [0, 1, 3, 7])
def test_pieces_in_turn_come_back_in_their_order(pieces):
    def work(comm):
        own = []
        results = (own.append(k) or k * k for k in range(comm.rank, pieces, comm.size))
        return list(in_turn(comm, pieces, results)), own

    squares = [k * k for k in range(pieces)]
    for rank, (found, own) in enumerate(on_ranks(3, work)):
        assert found == squares
        assert own == list(range(rank, pieces, 3))
    assert list(in_turn(Comm(), pieces, iter(squares))) == squares


def handed(size, tasks, work, rooms=None, **options):
    """What each rank got, and which tasks it did; work(task) is the task."""
    did = [[] for _ in range(size)]

    def on_rank(comm):
        with ThreadPoolExecutor(2) as pool:

            def begin(task):
                return pool.submit(lambda: did[comm.rank].append(task) or work(task, comm.rank))

            room = rooms[comm.rank] if rooms else 1
            mine = {name: option(comm) for name, option in options.items()}
            return [(done.task, done.result, repr(done.error)) for done in hand_out(comm, tasks, begin, room, **mine)]

    return on_ranks(size, on_rank), did


@pytest.mark.parametrize("size", [1, 2, 3])
def test_each_task_is_done_once_and_told_to_all(size):
    found, did = handed(size, list("abcdefg"), lambda task, rank: task.upper())
    assert sorted(itertools.chain(*did)) == list("abcdefg")
    assert all(did)
    assert sorted(found[0]) == [(k, letter, "None") for k, letter in enumerate("ABCDEFG")]
    assert found == [found[0]] * size


def test_whoever_is_free_gets_the_next():
    gate = threading.Event()

    def work(task, rank):
        if task == 0:
            gate.wait(60)
        if task == 4:
            gate.set()

    _, did = handed(2, range(5), work)
    assert did == [[0], [1, 2, 3, 4]]


def test_a_rank_with_more_room_has_more_under_way():
    all_began = threading.Barrier(3)
    _, did = handed(2, range(3), lambda task, rank: all_began.wait(60) and None, rooms=[1, 2])
    assert list(map(sorted, did)) == [[0], [1, 2]]


def test_after_an_error_nothing_new_is_begun_and_all_hear_of_it(monkeypatch):
    monkeypatch.setattr(sharing, "TICK", 60)  # each rank has something to tell when they meet

    def work(task, rank):
        if task == 0:
            raise ValueError("bad sample")
        return task

    found, did = handed(2, range(9), work)
    assert sorted(itertools.chain(*did)) == [0, 1]
    assert found[0] == found[1] == [(0, None, "ValueError('bad sample')"), (1, 1, "None")]
    everything, _ = handed(2, range(9), work, ends=lambda comm: lambda done: False)
    assert len(everything[0]) == 9


def test_a_stop_on_one_rank_halts_all():
    gate, halted = threading.Event(), []

    def halt(comm):
        return lambda: (halted.append(comm.rank), gate.set())

    found, did = handed(
        2, range(9), lambda task, rank: gate.wait(60), stop=lambda comm: lambda: comm.rank == 1, halt=halt
    )
    assert sorted(halted) == [0, 1]
    assert sorted(itertools.chain(*did)) == [0, 1]
    assert {task for task, *_ in found[0]} == {0, 1}


def test_what_a_rank_starts_does_not_take_itself_for_one():
    given = {"PMI_SIZE": "2", "PMI_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "SLURM_PROCID": "0", "PATH": "/bin"}
    assert without_launcher(given) == {"PATH": "/bin"}
