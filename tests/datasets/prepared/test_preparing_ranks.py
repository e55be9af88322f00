"""A cache that several ranks fill: the bytes of one process, wherever it stopped; a rank with other data is refused."""

import pytest

from misnet.datasets import DataError
from misnet.datasets.prepared import preparing
from misnet.datasets.prepared.checking import check
from misnet.datasets.prepared.decoding import Request
from misnet.datasets.prepared.preparing import Interrupted, prepare
from tests.datasets.tiny_events import write_event_digits
from tests.support.ranks import on_ranks

NAME = "mnist-dvs-ntidigits"


@pytest.fixture(autouse=True)
def chunks(monkeypatch):
    monkeypatch.setattr(preparing, "CHUNK_SAMPLES", 3)


@pytest.fixture(scope="module")
def request_of(tmp_path_factory):
    source = write_event_digits(tmp_path_factory.mktemp("digits"))
    return lambda **more: Request(NAME, str(source), timesteps=2, size=16, **more)


@pytest.fixture(scope="module")
def of_one(tmp_path_factory, request_of):
    folder = tmp_path_factory.mktemp("one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparing, "CHUNK_SAMPLES", 3)
        prepare(folder, request_of())
    return folder


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_ranks_write_the_bytes_of_one_process(tmp_path, request_of, of_one):
    told = [[], []]

    def work(comm):
        return prepare(tmp_path, request_of(), advance=lambda *what: told[comm.rank].append(what), comm=comm)

    first, second = on_ranks(2, work)
    assert first == second
    assert files(tmp_path) == files(of_one)
    assert told[0] == told[1]
    assert told[0][-1][1] == told[0][-1][2]


def test_ranks_go_on_where_one_was_stopped(tmp_path, request_of, of_one):
    done = []

    def work(comm):
        with pytest.raises(Interrupted, match=r"stopped after \d+ of \d+ train samples"):
            prepare(
                tmp_path,
                request_of(),
                advance=lambda *what: done.append(what[1]),
                stop=lambda: comm.rank == 1 and max(done) > 0,
                comm=comm,
            )

    on_ranks(2, work)
    assert max(done) > 0
    on_ranks(3, lambda comm: prepare(tmp_path, request_of(), comm=comm))
    assert files(tmp_path) == files(of_one)


def test_a_rank_with_other_files_is_refused(tmp_path, request_of):
    def work(comm):
        prepare(tmp_path, request_of(seed=comm.rank // 2), comm=comm)

    with pytest.raises(DataError, match="rank 2 has other files of the train split than rank 0"):
        on_ranks(3, work)


def test_what_is_not_on_disk_as_written_is_decoded_again_by_any_number_of_ranks(tmp_path, request_of, of_one):
    def spoil(comm):
        def advance(split, done, total):
            if comm.rank == 0 and (split, done) == ("train", total):
                with open(tmp_path / "train-visual.npy", "r+b") as file:
                    file.seek(-1, 2)
                    file.write(b"x")

        prepare(tmp_path, request_of(), advance=advance, comm=comm)

    with pytest.raises(DataError, match="1 chunks of the train split are not on disk as written"):
        on_ranks(2, spoil)
    on_ranks(2, lambda comm: prepare(tmp_path, request_of(), comm=comm))
    assert files(tmp_path) == files(of_one)


def test_a_check_finds_the_same_with_ranks(request_of):
    first, second = on_ranks(2, lambda comm: check(request_of(), comm=comm))
    assert first == second == check(request_of())
