"""tools/audit.py on networks that are not here: layer tables, recorded spikes, graphs; what it prints and refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest

from misnet.audit.subject import Subject
from misnet.tools.ways import WAYS
from snncore import Ops

TABLE = "name,kind,in_channels,out_channels,size,rate,recording\na,conv,2,4,6,{r},s\nb,lif,4,,6x6,{r},t\n"


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "net.csv"
    file.write_text(TABLE.format(r="10 - 20 %"))
    return file


@pytest.mark.parametrize("option", ["--steps", "--timesteps"])  # the second is the name of T everywhere
def test_a_table_by_its_rates(call, table, tmp_path, option):
    found = tmp_path / "a.json"
    result = call("audit", "--layers", table, option, "5", "--json", found)
    assert (result.status, result.err) == (0, "")
    report = json.loads(found.read_text())
    dense = 5 * 16 * 16 * 2 * 4  # five timesteps, 5 + 6 + 5 taps a side inside the image
    ends = [end["totals"]["ac_binary"] for end in (report, report["high"])]
    assert ends == [round(0.1 * dense), round(0.2 * dense)]
    assert report["timesteps"] == 5
    assert "firing rate 0.1000 to 0.2000" in result.out


def test_recordings_set_the_timesteps(call, table, tmp_path):
    rng = np.random.default_rng(0)
    s, t = rng.random((5, 2, 2, 6, 6)) < 0.3, rng.random((5, 2, 4, 6, 6)) < 0.1
    np.savez(tmp_path / "s.npz", s=s, t=t)
    found = tmp_path / "a.json"
    result = call(
        "audit",
        "--layers",
        table,
        "--spikes",
        tmp_path / "s.npz",
        "--layout",
        "tnchw",
        "--rule",
        "exact",
        "--json",
        found,
    )
    assert (result.status, result.err) == (0, "")
    report = json.loads(found.read_text())
    assert (report["timesteps"], report["samples"], report["totals"]["spikes"]) == (5, 2, int(t.sum()))
    assert report["totals"]["events_in"] == int(s.sum())
    assert "high" not in report


@pytest.mark.parametrize(("n", "words"), [(slice(0), "found 5 timesteps of 0 samples"), (slice(2), "found nan")])
def test_recordings_of_nothing_and_of_no_number_are_refused_by_file(call, table, tmp_path, n, words):
    s, t = np.zeros((5, 2, 2, 6, 6)), np.zeros((5, 2, 4, 6, 6))
    t[4, 1] = np.nan
    np.savez(tmp_path / "s.npz", s=s[:, n], t=t[:, n])
    found = tmp_path / "a.json"
    result = call("audit", "--layers", table, "--spikes", tmp_path / "s.npz", "--layout", "TNCHW", "--json", found)
    assert (result.status, result.out, found.exists()) == (1, "", False)
    assert f"{tmp_path / 's.npz'}, array " in result.err
    assert words in result.err


def test_the_template_is_written_once_and_reads(call, tmp_path):
    file = tmp_path / "mine.csv"
    assert call("audit", "--layers-template", file).status == 0
    again = call("audit", "--layers-template", file)
    assert (again.status, "expected a new file" in again.err) == (2, True)
    result = call("audit", "--layers", file, "--rule", "exact")
    assert (result.status, result.err) == (0, "")
    assert "the table has no timesteps: T=4 is taken" in result.out


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--rate", "0.1"], 2, "--rate: expected --layers or --nir beside it, found none"),
        (["--spikes", "s.npz"], 2, "--spikes: expected --layers beside it, found none"),
        (["--layers", "TABLE", "--layout", "TNC"], 2, "--layout: expected --spikes FILE.npz beside it"),
        (["--layers", "TABLE", "--rate", "1.3"], 2, "expected a share of at most 1"),
        (["--layers", "TABLE", "--timesteps", "0"], 2, "--timesteps: expected a whole number of at least 1, found 0"),
        (["--layers", "TABLE", "--steps", "0"], 2, "expected a whole number of at least 1, found '0'"),
        (["--layers", "TABLE", "--nir", "g.nir"], 2, "expected one network, found --layers, --nir"),
        (["--layers", "TABLE", "--variant", "XS"], 2, "expected one network, found --layers, --variant"),
        (["--layers", "none.csv"], 1, "none.csv"),
        (["--layers", "TABLE", "--spikes", "none.npz"], 1, "none.npz"),
        (["--layers", "WRONG"], 1, "wrong.csv, line 2, column kind: expected one of"),
        (["--nir", "g.nir", "--nir-dt", "0"], 2, "expected seconds above 0, such as 1e-3, found '0'"),
        (["--nir", "g.nir", "--nir-dt", "1e-3"], 2, "--nir-dt: expected --inputs FILE.npy beside it"),
        (["--nir", "g.nir", "--inputs", "x.npy", "--rate", "1"], 2, "also found --rate"),
    ],
)
def test_wrong_use_and_wrong_files(call, table, tmp_path, options, status, words):
    (tmp_path / "wrong.csv").write_text("name,kind\na,b\n")
    files = {"TABLE": table, "WRONG": tmp_path / "wrong.csv"}
    result = call("audit", *(files.get(option, option) for option in options))
    assert result.status == status
    assert words in result.err
    assert "Traceback" not in result.err


def test_a_heading_may_end_in_columns_without_a_name(call, table):
    heading, *lines = table.read_text().splitlines()
    table.write_text("\n".join([f"{heading},,", *(f"{line},," for line in lines)]) + "\n")
    assert call("audit", "--layers", table, "--rule", "exact").status == 0
    table.write_text("\n".join([f"{heading},,", *(f"{line},,7" for line in lines)]) + "\n")
    result = call("audit", "--layers", table)
    assert (result.status, "line 2: expected 7 cells as in the heading, found 9" in result.err) == (1, True)


def test_outputs_are_files_of_their_own_and_are_seen_to_before_anything_is_counted(call, tmp_path, monkeypatch):
    file, folder = tmp_path / "a.json", tmp_path / "no" / "a.html"
    uncounted = ("audit", "--layers", tmp_path / "none.csv")  # never read
    for options, status, words in (
        (("--json", file, "--html", tmp_path / "x" / ".." / "a.json"), 2, "--html: expected a file of its own, found"),
        (("--latex", tmp_path / "none.csv"), 2, "none.csv, which is that of --layers"),
        (("--nir-table", file, "--json", file), 2, "which is that of --json"),
        (("--html", folder), 1, f"--html: expected a file in a folder that exists, found {folder}"),
        (("--json", tmp_path), 1, f"--json: expected a file to write, found the folder {tmp_path}"),
    ):
        result = call(*uncounted, *options)
        assert (result.status, result.out) == (status, "")
        assert words in result.err
        assert ".tmp" not in result.err
    monkeypatch.setattr("misnet.tools.outputs.os.access", lambda path, mode: path != tmp_path)
    result = call(*uncounted, "--json", file)
    assert (result.status, result.err) == (
        1,
        f"error: --json: expected a file in a folder that can be written to, found {file}\n",
    )
    assert [*tmp_path.iterdir()] == []


def test_a_layout_that_is_none_is_wrong_usage(call, table):
    result = call("audit", "--layers", table, "--spikes", "s.npz", "--layout", "TNCHZ")
    assert (result.status, result.err) == (
        2,
        "error: --layout: expected axes such as TNHWC, TNCHW or TNF, each once, found 'TNCHZ'\n",
    )


def test_a_template_that_cannot_be_written_is_named_as_it_was_asked_for(call, tmp_path):
    result = call("audit", "--layers-template", tmp_path / "no" / "mine.csv")
    assert (result.status, ".tmp" in result.err) == (1, False)
    assert str(tmp_path / "no" / "mine.csv") in result.err


def test_of_recordings_without_neurons_no_firing_rate_is_said(call, tmp_path):
    (tmp_path / "n.csv").write_text("name,kind,in_channels,out_channels\na,linear,6,5\n")
    np.savez(tmp_path / "s.npz", a=np.eye(6, dtype=np.uint8)[None])  # [T, N, 6]: one event a sample
    result = call("audit", "--layers", tmp_path / "n.csv", "--spikes", tmp_path / "s.npz", "--rule", "exact")
    assert (result.status, "firing rate 0" in result.out) == (0, False)
    line = next(line for line in result.out.splitlines() if line.startswith("exact "))
    assert line.split()[1:-1] == ["0.000", "5.000", "4.5000", "0.0000", "4.5000", "4.5000"]  # 5 x 0.9 pJ


def test_nothing_that_was_counted_is_no_success_whatever_the_way(call, table, monkeypatch):
    """A way in that brings no sample ends with status 1 and the name of what held none."""
    way = replace(WAYS["layers"], subject=lambda args: Subject("a", Ops(0), 1, data={"name": "none.npy"}))
    monkeypatch.setitem(WAYS, "layers", way)
    result = call("audit", "--layers", table)
    assert (result.status, result.err) == (1, "error: none.npy: expected at least one sample, found none\n")
