"""The benchmark over sizes: what it computes from times, its picture, and what it refuses."""

import io

import numpy as np
import pytest
from PIL import Image

from misnet.datasets import DataError
from misnet.tools.benchmarks import sizes
from misnet.tools.benchmarks.size_picture import draw

FOUND = {
    "ours infer": 0.2,
    "peer infer": 0.9,
    "ours train": 0.8,
    "peer train": 2.0,
    "ours MiB": 50.0,
    "peer MiB": 175.0,
}


def test_a_row_has_milliseconds_of_a_sample_and_the_peer_over_us():
    row = sizes.row_of("channels", (32, 32, 32), sizes.POINT, FOUND)
    assert (row["axis"], row["value"], row["batch"]) == ("channels", 32, 8)
    assert (row["ours_infer_ms"], row["peer_train_ms"]) == (25.0, 250.0)
    assert (row["infer_ratio"], row["train_ratio"], row["memory_ratio"]) == (4.5, 2.5, 3.5)


def test_every_value_of_an_axis_is_in_the_picture():
    rows = [sizes.row_of(name, v, sizes.POINT, FOUND) for name in ("batch", "size") for v in sizes.AXES[name][1]]
    few, many = (np.asarray(Image.open(io.BytesIO(draw(x))).convert("L")) for x in (rows[:8], rows))
    assert many.shape[1] > few.shape[1]  # a column an axis
    assert (many < 100).sum() > (few < 100).sum() > 0


def test_the_compiled_peer_has_columns_and_lines_of_its_own():
    found = FOUND | {"compiled infer": 0.6, "compiled train": 1.6}
    row = sizes.row_of("batch", 2, sizes.POINT | {"batch": 2}, found)
    assert (row["compiled_infer_ms"], row["compiled_train_ms"]) == (300.0, 800.0)
    assert (row["compiled_infer_ratio"], row["compiled_train_ratio"]) == (3.0, 2.0)
    assert "compiled_infer_ms" not in (plain := sizes.row_of("batch", 2, sizes.POINT | {"batch": 2}, FOUND))
    assert draw([row]) != draw([plain])


def test_the_processor_is_timed_where_one_thread_runs(monkeypatch):
    """A point against programs that are made up: medians, the faster layout, and the clock where threads vary."""
    asked = []

    class Worker:
        def __init__(self, label, spec):
            self.label, self.spec = label, spec
            self.times = iter([99, 3, 1, 2] * 2 if label != "channels_last" else [99, 9, 9, 9, 99, 1, 1, 1])

        def ask(self, word):
            asked.append((self.label, word))
            if word == "finish":
                return {"peak_mib": {"ours": 10, "channels_last": 40}.get(self.label, 30)}
            seconds = next(self.times)
            return {"processor_s": seconds, "seconds": 100 * seconds}

    monkeypatch.setattr(sizes, "Worker", Worker)
    small = sizes.POINT | {"channels": (4, 4, 4), "batch": 2, "timesteps": 2}
    monkeypatch.setattr(sizes, "check_peer", lambda config: None)
    monkeypatch.setattr("misnet.tools.benchmarks.ours.shift_to_density", lambda *what: 0.0)  # nothing runs here
    found = sizes.measure(small, 0.2, 3)
    right = {"ours infer": 2, "peer infer": 2, "ours train": 2, "peer train": 1, "ours MiB": 10, "peer MiB": 30}
    assert found == right
    assert asked[3:7] == [
        ("ours", "infer"),
        ("contiguous_format", "infer"),
        ("channels_last", "infer"),
        ("ours", "infer"),
    ]
    assert sizes.measure(small | {"by_clock": True}, 0.2, 3)["ours train"] == 200
    compiled = sizes.measure(small, 0.2, 3, compiled=True)
    assert compiled == right | {"compiled infer": 2, "compiled train": 2}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--axes", "batch,pixels"], "--axes: expected"),
        (["--steps", "0"], "--steps: expected at least 1, found 0"),
        (["--density", "1"], "--density: expected a number between 0 and 1, found 1.0"),
    ],
)
def test_arguments_that_cannot_be_used(monkeypatch, capsys, arguments, message):
    monkeypatch.setattr("sys.argv", ["sizes", *arguments])
    with pytest.raises(SystemExit) as stop:
        sizes.main()
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_rows_of_an_earlier_run_come_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sizes, "measure", lambda point, density, steps, compiled: FOUND)
    first, both = tmp_path / "first.csv", tmp_path / "both.csv"
    for arguments in (["--axes", "batch", "--csv", first], ["--axes", "threads", "--earlier", first, "--csv", both]):
        monkeypatch.setattr("sys.argv", ["sizes", *map(str, arguments)])
        assert sizes.main() == 0
    assert both.read_text().startswith(first.read_text())
    assert len(both.read_text().splitlines()) == 1 + 8 + 2
    rows = sizes.read_rows(both)
    assert rows[0] == sizes.row_of("batch", 1, sizes.POINT | {"batch": 1}, FOUND)
    assert [row["axis"] for row in rows[8:]] == ["threads"] * 2
    assert len(capsys.readouterr().out.splitlines()) == 1 + 8 + 1 + 2  # what was measured now


@pytest.mark.parametrize("text", ["", "axis,value\nbatch,1\n", "axis,value\nbatch,x\n", "a\n1,2\n", "\xff\x00"])
def test_a_file_that_is_no_csv_of_this_benchmark_is_refused(tmp_path, text):
    path = tmp_path / "rows.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"rows\.csv: expected the CSV of this benchmark"):
        sizes.read_rows(path)
    with pytest.raises(DataError, match=r"nowhere\.csv"):
        sizes.read_rows(tmp_path / "nowhere.csv")
