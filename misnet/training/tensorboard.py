"""The rows of a run as TensorBoard's event files, in RUN/tensorboard: each epoch once, however often a run was resumed.

An event file is a chain of records (TensorFlow's TFRecord format):

    uint64 length | uint32 CRC of it | length bytes: an Event message | uint32 CRC of them        all little-endian

Values are float32 there; metrics.csv has them in full.
"""

import os
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from misnet._checkout import how_to_install
from misnet.training.selection import Row

__all__ = ["FOLDER", "TensorBoard", "read_events", "tag_of"]

FOLDER = "tensorboard"
PARTS = ("train", "val", "test")


class TensorBoard:
    """Writes `part/name` at step `epoch` for each figure of a row; call it with a row.

    What is there already stays, with its times, if it is the first of the epochs that are done, each once. Else (a run
    that fell back to an earlier checkpoint, or was killed while this was written) all `rows` are written anew.
    """

    def __init__(self, folder: Path, rows: Sequence[Row]) -> None:
        from tensorboardX.event_file_writer import EventsWriter

        self.folder = folder / FOLDER
        self.folder.mkdir(exist_ok=True)
        files = sorted(self.folder.glob("events.out.tfevents.*"))
        known = _known(files)
        if known != [_tags(row) for row in rows][: len(known)]:
            for file in files:
                file.unlink()
            known = []
        number = 1 + max((int(file.suffix[1:]) for file in files if file.suffix[1:].isdigit()), default=0)
        self._writer = EventsWriter(os.fspath(self.folder / "events"), f".{number}")
        for row in rows[len(known) :]:
            self(row)

    @staticmethod
    def check_installed() -> None:
        """Raise ValueError, which says how to install it, without the package that writes event files."""
        if find_spec("tensorboardX") is None:
            command = how_to_install("tensorboardX", "tensorboard")
            needs = "tensorboard needs the package tensorboardX, which is not installed"
            raise ValueError(f"{needs}; install it with: {command}")

    def __call__(self, row: Row) -> None:
        """Write an epoch."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag_of(name), simple_value=float(x)) for name, x in row.items() if name != "epoch"]
        event = Event(wall_time=time.time(), step=int(row["epoch"]), summary=Summary(value=values))
        self._writer.write_event(event)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


def tag_of(name: str) -> str:
    """Return the tag of a column of metrics.csv: test/accuracy_av for test_accuracy_av, so that parts are grouped."""
    part, _, rest = name.partition("_")
    return f"{part}/{rest}" if part in PARTS and rest else name


def read_events(file: Path) -> list[Any]:
    """Return the Event messages of an event file; raises ValueError for a record that is cut off or damaged."""
    from google.protobuf.message import DecodeError
    from tensorboardX.proto.event_pb2 import Event

    content, at, found = file.read_bytes(), 0, []
    while at < len(content):
        with suppress(struct.error, DecodeError):
            (length,) = struct.unpack_from("<Q", content, at)
            if at + 16 + length <= len(content):
                found.append(Event.FromString(content[at + 12 : at + 12 + length]))
                at += 16 + length
                continue
        raise ValueError(f"{file}: expected a whole record at byte {at}")
    return found


def _tags(row: Row) -> tuple[int, list[str]]:
    return int(row["epoch"]), [tag_of(name) for name in row if name != "epoch"]


def _known(files: Sequence[Path]) -> list[tuple[int, list[str]]]:
    """Return step and tags of every event with values in the files, in order of steps; -1 for a damaged file."""
    try:
        events = [event for file in files for event in read_events(file) if event.summary.value]
    except ValueError:
        return [(-1, [])]
    return sorted((event.step, [value.tag for value in event.summary.value]) for event in events)
