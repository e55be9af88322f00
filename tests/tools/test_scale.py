"""tools/scale.py: its model on values worked out by hand, its files, and what it refuses."""

import csv
import json
import shutil
from dataclasses import replace

import pytest
from PIL import Image

from misnet.datasets import DataError
from misnet.tools.benchmarks import scale_run
from misnet.tools.benchmarks.scale_sharing import Work, project_sharing
from misnet.tools.benchmarks.scaling import GBIT, Link, Measured, all_reduce_seconds, link_of, project
from misnet.tools.scale import check, measured_of
from misnet.tools.train_ranks import FEW
from snncore.parallel import Comm

SLOW = Link(bandwidth=1e6, latency=1e-3)  # 1 MB/s and 1 ms


@pytest.mark.parametrize(
    ("size", "ranks", "seconds"),
    [
        (1e6, 1, 0.0),
        (1e6, 2, 1e-3 + 1.0),  # doubling: one message of all; the ring would send two of half
        (1e6, 4, 6e-3 + 1.5),  # ring: six messages of a quarter; doubling 2 ms + 2 s
        (8, 4, 2e-3 + 16e-6),  # doubling: two messages of 8 bytes; the ring would take 6 ms
        (8, 5, 3e-3 + 24e-6),
        (1e6, 256, 0.51 + 2 * 255 / 256),
    ],
)
def test_an_all_reduce(size, ranks, seconds):
    assert all_reduce_seconds(size, ranks, SLOW) == pytest.approx(seconds, rel=1e-12)


def test_a_link_is_that_of_which_two_ranks_take_so_long():
    link = link_of(*((m, all_reduce_seconds(m, 2, SLOW)) for m in (8, 4e6)))
    assert (link.bandwidth, link.latency) == pytest.approx((1e6, 1e-3), rel=1e-9)
    assert link_of((8, 1e-9), (1e6, 1.0)).latency == 0  # not below
    with pytest.raises(ValueError, match=r"expected 1e\+06 bytes to take longer than 8, found 0.1 s and 0.2 s"):
        link_of((8, 0.2), (1e6, 0.1))


MEASURED = Measured({1: 0.2, 2: 0.3, 8: 0.9}, data=0.05, few=4, messages={False: [1_000_000, 8], True: [1_000_000] * 2})


def test_compute_between_and_above_what_was_measured():
    found = [MEASURED.compute_seconds(n) for n in (1, 2, 4, 8, 16)]
    assert found == pytest.approx([0.2, 0.3, 0.5, 0.9, 1.8], rel=1e-12)
    with pytest.raises(ValueError, match="expected at least 1, the least that was measured, found 0"):
        MEASURED.compute_seconds(0)


def test_rows():
    rows = project(MEASURED, (1, 2, 4, 16), SLOW, batch=8, each=8)
    strong, weak = ([row for row in rows if row["scaling"] == kind] for kind in ("strong", "weak"))
    assert [row["ranks"] for row in strong] == [1, 2, 4]  # 16 would have half a sample each
    assert [row["samples_per_rank"] for row in strong] == [8, 4, 2]
    # of 4 samples nothing is synchronised: 1.001 s and 1 ms + 8 us; of 2 samples: twice 6 ms + 1.5 s
    assert [row["exchange_s"] for row in strong] == pytest.approx([0, 1.001 + 1.008e-3, 2 * 1.506], rel=1e-12)
    assert [row["step_s"] for row in strong] == pytest.approx([0.9, 0.5 + 1.002008, 0.3 + 3.012], rel=1e-12)
    assert strong[2]["efficiency"] == pytest.approx(0.9 / (4 * 3.312), rel=1e-12)
    assert [row["batch"] for row in weak] == [8, 16, 32, 128]
    assert weak[1]["samples_per_s"] == pytest.approx(16 / 1.902008, rel=1e-12)
    assert weak[1]["efficiency"] == pytest.approx(0.9 / 1.902008, rel=1e-12)


def test_gradients_that_travel_during_backward_cost_what_is_left_of_them():
    """Two buckets of 1 MB, 1.001 s each on this link; 8 samples take 0.9 s, of which some is left for them."""
    for room, exchange in ((0.0, 2.002), (0.5, 2.002 - 0.45), (1.0, 2.002 - 0.9), (2.0, 1.001)):
        measured = Measured(MEASURED.compute, 0.0, 0, {False: [], True: []}, [10**6, 10**6], room)
        assert measured.step(8, 16, 2, SLOW).exchange == pytest.approx(exchange, rel=1e-12)
        assert measured.step(8, 8, 1, SLOW).exchange == 0


def test_evaluation_and_decoding_shared():
    work = Work(samples=100, batch=10, forward=0.5, data=0.01, results=1000, sample=10_000, range=30)
    assert work.evaluation(1, SLOW) == pytest.approx(10 * 0.5, rel=1e-12)
    # four rounds of up to three batches; each then two messages of latency and what the two others found
    assert work.evaluation(3, SLOW) == pytest.approx(4 * (0.5 + 2e-3 + 2e-3), rel=1e-12)
    assert work.evaluation(64, SLOW) == pytest.approx(0.5 + 6e-3 + 63e-3, rel=1e-12)
    assert work.prepare(1, SLOW) == pytest.approx(4 * 30 * 0.02, rel=1e-12)  # 10 ms to decode, 10 ms to write
    assert [work.prepare(r, SLOW) for r in (3, 4, 9)] == pytest.approx([2 * 0.6, 0.6, 0.6], rel=1e-12)
    slow = replace(work, data=0.1)
    assert slow.evaluation(1, SLOW) == pytest.approx(10 * 1.0, rel=1e-12)
    rows = project_sharing(work, (1, 4), SLOW)
    assert [row["scaling"] for row in rows] == ["evaluation"] * 2 + ["prepare"] * 2
    assert rows[-1]["samples_per_s"] == pytest.approx(100 / 0.6, rel=1e-12)
    assert rows[-1]["efficiency"] == pytest.approx(1.0, rel=1e-12)


def test_one_rank_is_measured_while_another_works(monkeypatch):
    times = iter((0.1, 0.3))

    def measure(start, spec):
        took = next(times)
        return {
            "steps": [{"samples": 1, "step_s": took, "compute_s": took / 2}],
            "evaluation": {"seconds": 2 * took, "sample_bytes": 4},
        }

    monkeypatch.setattr(scale_run, "measure", measure)
    found = scale_run.measure_side_by_side({})
    assert found["steps"] == [{"samples": 1, "step_s": pytest.approx(0.2), "compute_s": pytest.approx(0.1)}]
    assert found["evaluation"] == {"seconds": pytest.approx(0.4), "sample_bytes": 4}


def test_data_that_is_slower_than_the_rest_is_the_step():
    slow = Measured(MEASURED.compute, 1.0, 4, MEASURED.messages)
    assert [row["step_s"] for row in project(slow, (1, 2), SLOW, batch=8, each=8)] == [8, 4, 8, 8]


def of_workers(start, spec):
    """What workers would write: two ranks that need the time of the model on a link of 1 GB/s and 10 us."""
    two, link = spec["ranks"] == 2, Link(1e9, 1e-5)
    steps = []
    for total in spec["totals"]:
        n = total // spec["ranks"]
        messages = ([4_000_000, 8] + [64] * (20 if n < FEW else 0)) if two else []
        exchange = sum(all_reduce_seconds(m, 2, link) for m in messages)
        steps.append(
            {"samples": n, "step_s": 0.01 * n + exchange, "exchange_s": exchange, "compute_s": 0.01 * n,
             "data_s_per_sample": 1e-4, "messages": messages, "buckets": [], "room": 0.0}
        )  # fmt: skip
    reduced = [{"bytes": m, "seconds": all_reduce_seconds(m, 2, link)} for m in ((8, 5000, 4_000_000) if two else ())]
    evaluation = {"seconds": 0.1, "result_bytes": 100, "sample_bytes": 1000}
    return {"steps": steps, "all_reduce": reduced, "gradient_bytes": 4_000_000, "evaluation": evaluation}


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(scale_run, "measure", of_workers)
    monkeypatch.setattr(scale_run, "find_mpiexec", lambda: "mpiexec")


TINY = ("--variant", "XS", "--size", "8", "--timesteps", "2", "--limit-train", "64")


def test_files_and_a_check_that_holds_where_the_model_does(fake, call, tmp_path):
    names = {"csv": "scale.csv", "json": "scale.json", "picture": "scale.jpg"}
    paths = {kind: tmp_path / name for kind, name in names.items()}
    result = call("scale", *TINY, *(x for kind, path in paths.items() for x in (f"--{kind}", path)))
    assert result.status == 0, result.err
    assert "between two ranks here 10 us and 8.0 Gbit/s" in result.out
    assert result.out.endswith("".join(f"\nwrote {path}\n" for path in paths.values()))
    found = json.loads(paths["json"].read_text())
    assert [row["error"] for row in found["check"]] == pytest.approx([0] * 10, abs=1e-9)
    with open(paths["csv"], newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (9 + 9) + 2 * (9 + 9) == len(found["projection"]) + len(found["sharing"])
    assert "shared without a step in common, 64 samples" in result.out
    (last,) = (row for row in rows if (row["scaling"], row["gbit_per_s"], row["ranks"]) == ("weak", "10.0", "256"))
    link = Link(10 * GBIT, 20e-6)
    step = 0.32 + all_reduce_seconds(4_000_000, 256, link) + all_reduce_seconds(8, 256, link)
    assert float(last["samples_per_s"]) == pytest.approx(32 * 256 / step, rel=1e-9)
    with Image.open(paths["picture"]) as picture:
        assert picture.format == "JPEG"


def test_an_error_of_the_model_is_found():
    one, two = (of_workers([], {"ranks": ranks, "totals": [4 * ranks, 16 * ranks]}) for ranks in (1, 2))
    for row in two["steps"]:
        row["step_s"] += row["compute_s"]
        row["compute_s"] *= 2
    _, rows = check(measured_of(one, two), two)
    errors = {row["what"]: row["error"] for row in rows}
    assert errors["  computing, 16 samples"] == pytest.approx(-0.5, abs=1e-9)
    assert -0.5 < errors["step, 16 samples a rank"] < -0.4
    assert errors["  exchange, 2 messages"] == pytest.approx(0, abs=1e-9)
    assert errors["all-reduce of 5000 bytes"] == pytest.approx(0, abs=1e-9)


def test_all_reduces_from_which_no_bandwidth_follows():
    one, two = (of_workers([], {"ranks": ranks, "totals": [4 * ranks, 16 * ranks]}) for ranks in (1, 2))
    two["all_reduce"][-1]["seconds"] = 0
    with pytest.raises(DataError, match=r"too noisy to measure: expected 4e\+06 bytes to take longer than 8"):
        check(measured_of(one, two), two)


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--steps", "0"), 2, "--steps: expected at least 1, found 0"),
        (("--rank-batch-size", "1"), 2, "--rank-batch-size: expected at least 2, found 1"),
        (("--rank-batch-size", "33"), 2, "--rank-batch-size: expected at most 32, half the samples, found 33"),
        (("--latency", "-1"), 2, "--latency: expected microseconds from 0 to a million, found -1"),
        (("--csv", "nowhere/x.csv"), 1, "--csv: expected a file in a folder that exists, found nowhere/x.csv"),
    ],
)
def test_what_is_refused(fake, call, options, status, message):
    result = call("scale", *TINY, *options)
    assert (result.status, result.err) == (status, f"error: {message}\n")


@pytest.mark.parametrize("missing", ["mpi4py", "mpiexec"])
def test_without_mpi_the_command_that_installs_it_is_named(call, monkeypatch, missing):
    monkeypatch.setattr(scale_run.importlib.util, "find_spec", lambda name: None if missing == "mpi4py" else object())
    monkeypatch.setattr(shutil, "which", lambda name, path: None if missing == "mpiexec" else name)
    result = call("scale", *TINY)
    assert result.status == 2
    assert result.err == (
        f'error: {missing} is not installed, which starts two ranks; install it with: pip install -e ".[mpi]"\n'
    )


def test_the_last_words_of_a_worker_that_fails():
    with pytest.raises(DataError, match=r"measuring with 1 rank\(s\): .*not-a-program"):
        scale_run.measure(["sh", "-c", "echo not-a-program >&2; exit 3"], {"ranks": 1})


def test_a_worker_counts_what_a_step_exchanges(tmp_path, monkeypatch):
    """On two threads in place of processes: each sum with its size, and the figures of the smallest batch."""
    from misnet.models.registry import build, config_class
    from misnet.tools.benchmarks.scale_worker import measure
    from tests.support.ranks import on_ranks

    monkeypatch.setenv("SNNCORE_KERNELS", "reference")
    network = {"variant": "XS", "channels": (4,), "cells": (1,), "size": 8, "timesteps": 1, "v_threshold": 0.5}
    spec = {"given": {"limit_train": 8}, "switches": network, "steps": 1, "totals": [4]}
    first, second = on_ranks(2, lambda comm: measure(spec, comm))
    (step,) = first["steps"]
    assert step["samples"] == 2
    assert step["messages"] == second["steps"][0]["messages"]
    assert step["buckets"] == [first["gradient_bytes"]]
    assert 0 <= step["room"] < 1
    alone = measure(spec, Comm())
    assert alone["evaluation"]["sample_bytes"] == 4 * (8 * 8 + 8 * 8)  # one timestep of both streams
    assert alone["evaluation"]["seconds"] > 0
    assert alone["steps"][0]["buckets"] == []
    config = config_class("misnet")(**network)
    weights = sum(p.data.nbytes for p in build("misnet", config).parameters())
    assert weights <= first["gradient_bytes"] < 3 * weights  # with gaps: each begins at a multiple of 64 entries
    assert step["messages"][-1] == 16  # whether to stop, whether to save
    assert 0 < step["exchange_s"] < step["step_s"]
    assert [x["bytes"] for x in first["all_reduce"]][::2] == [8, first["gradient_bytes"]]
