"""Work that ranks share without a step in common: pieces in turn, or each to whoever is free.

All ranks make these calls in the same order, with the same pieces, and get every result, in an order that is the same
on all. They meet often, so that one which has nothing to do is not held to wait in vain (`snncore.parallel`).
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, NamedTuple

from snncore.parallel import Comm

__all__ = ["Done", "hand_out", "in_turn"]

TICK = 0.2  # seconds between two meetings where nothing is done


def in_turn(comm: Comm, pieces: int, results: Iterator[Any]) -> Iterator[Any]:
    """Yield the results of all pieces in their order: rank r of R computes pieces r, r + R, r + 2 R, ...

    results: of this rank's pieces; each is computed when it is asked for. The ranks meet after each round of R.
    """
    for first in range(0, pieces, comm.size):
        mine = next(results) if first + comm.rank < pieces else None
        yield from comm.exchange(mine)[: pieces - first]


class Done(NamedTuple):
    """A task that has come to its end: its place in the list, and what it returned or raised."""

    task: int
    result: Any
    error: BaseException | None


def hand_out(
    comm: Comm,
    tasks: Sequence[Any],
    begin: Callable[[Any], Future],
    at_once: int = 1,
    stop: Callable[[], bool] = lambda: False,
    ends: Callable[[Done], bool] = lambda done: done.error is not None,
    halt: Callable[[], None] = lambda: None,
) -> Iterator[Done]:
    """Yield what comes of each task: the next goes to the rank that has the fewest under way, the lowest of several.

    begin: starts a task here. at_once: how many this rank has under way; may differ by rank. stop: asked again and
    again; once it is True on any rank, `halt` is called on each and no more is handed out, as after a result for which
    `ends` is True. Those under way are waited for.
    """
    room = comm.exchange(at_once)
    under_way: list[set[int]] = [set() for _ in room]  # by rank, the same on every rank
    waiting, own, over = deque(range(len(tasks))), dict[int, Future](), False
    halted = False
    while (waiting and not over) or any(under_way):
        while waiting and not over:
            free = [rank for rank, limit in enumerate(room) if len(under_way[rank]) < limit]
            if not free:
                break
            task, rank = waiting.popleft(), min(free, key=lambda r: len(under_way[r]))
            under_way[rank].add(task)
            if rank == comm.rank:
                own[task] = begin(tasks[task])
        wait(own.values(), TICK, FIRST_COMPLETED)
        ended = [Done(k, *_outcome(own.pop(k))) for k in sorted(own) if own[k].done()]
        meeting = comm.exchange((ended, stop()))
        if not halted and any(stopped for _, stopped in meeting):
            halted = over = True
            halt()
        for rank, (found, _) in enumerate(meeting):
            for done in found:
                under_way[rank].remove(done.task)
                over = over or ends(done)
                yield done


def _outcome(future: Future) -> tuple[Any, BaseException | None]:
    error = future.exception()
    return (None, error) if error is not None else (future.result(), None)
