"""Says which rank of a job has ended, and sees to it that the others do: a process beside the ranks of a host.

    python -I -S witness.py LOG ADVICE HOST SIZE RANK:PID RANK:PID ...

LOG is empty where there is none; ADVICE tells the user what to do then.
A launcher ends a job of which a process was killed, but names no rank, and kills the rest at once, so that none of them
can. A byte on standard input says that the job has come to its end. Needs handles of processes (pidfd: Linux).
Imports nothing but the standard library, to be there in no time.
"""

import os
import select
import signal
import sys
import time

PATIENCE = 10.0  # seconds in which the launcher may end the other ranks


def main(log: str, advice: str, host: str, size: str, *ranks: str) -> None:
    """Wait for the end of the job or of a rank."""
    pids = {int(rank): int(pid) for rank, pid in (text.split(":") for text in ranks)}
    poll, handles = select.poll(), {}
    for rank, pid in pids.items():
        try:
            handles[os.pidfd_open(pid)] = rank
        except ProcessLookupError:
            return tell([rank], pids, log, advice, host, size)
    for handle in (0, *handles):
        poll.register(handle, select.POLLIN)
    while True:
        ended = [handle for handle, _ in poll.poll()]
        if 0 in ended and os.read(0, 1):
            return None
        if 0 in ended:
            poll.unregister(0)  # the rank that started this process has ended: its handle tells
        elif ended:
            return tell([handles[handle] for handle in ended], pids, log, advice, host, size)


def tell(ranks: list[int], pids: dict[int, int], log: str, advice: str, host: str, size: str) -> None:
    """Name the rank, on standard error and in the log, and end the others if nobody else does.

    ranks: several where the launcher had ended others, too, before this process was given a moment.
    """
    numbers, processes = (", ".join(map(str, found)) for found in (ranks, [pids[rank] for rank in ranks]))
    if len(ranks) == 1:
        line = f"rank {numbers} of {size} (process {processes} on {host}) has ended before its work was done: "
        line += "was it killed?"
    else:
        line = f"ranks {numbers} of {size} (processes {processes} on {host}) have ended before their work was done: "
        line += "was one of them killed?"
    try:
        os.write(2, f"error: {line} {advice}".rstrip().encode() + b"\n")
        if log:
            with open(log, "a") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
    except OSError:  # nobody listens any more, or the disk is full
        pass
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and any(map(lives, pids.values())):
        time.sleep(0.1)
    for pid in filter(lives, pids.values()):
        os.kill(pid, signal.SIGKILL)


def lives(pid: int) -> bool:
    """Whether a process is there."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


if __name__ == "__main__":
    main(*sys.argv[1:])
