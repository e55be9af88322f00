"""Graphs of NIR as layer tables, and as networks that run: against a simulation in float64, channels first."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from misnet.audit.layers_row import Rate, TableError
from misnet.audit.layers_table import read_table, table_text
from misnet.audit.nir_graph import graph_rows
from misnet.audit.nir_network import graph_subject
from snncore import Tensor, no_grad
from snncore.energy import RULES, apply_rule
from snncore.interchange import InterchangeError, network_of, read_graph
from snncore.opcount.columns import COLUMNS
from tests.snncore.interchange.simulation import simulate

DT = 1e-3
T, N, SHAPE = 5, 3, (2, 6, 5)


def test_without_the_package_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "nir", None)
    with pytest.raises(InterchangeError, match=r'needs the package nir.*pip install -e "\.\[nir\]"'):
        read_graph(tmp_path / "g.nir")


@pytest.fixture
def nir():
    return pytest.importorskip("nir")


def parts(nir, rng):
    """Nodes of a network: two convolutions (one in groups), an average, a head, and their neurons."""
    of = lambda shape, **values: {name: np.full(shape, v) for name, v in values.items()}  # noqa: E731
    return {
        "input": nir.Input({"input": np.array(SHAPE)}),
        "conv1": nir.Conv2d((6, 5), rng.normal(0, 0.6, (4, 2, 3, 3)), 1, 1, 1, 1, rng.normal(0, 0.1, 4)),
        "lif1": nir.LIF(**of((4, 6, 5), tau=4e-3, r=3.0, v_leak=0.0, v_threshold=0.7, v_reset=0.0)),
        "conv2": nir.Conv2d((6, 5), rng.normal(0, 0.8, (6, 2, 3, 3)), (2, 1), (1, 0), 1, 2, np.zeros(6)),
        "if2": nir.IF(**of((6, 3, 3), r=500.0, v_threshold=0.9, v_reset=-0.1)),
        "pool": nir.AvgPool2d(np.array([3, 2]), np.array([3, 1]), np.array([0, 0])),
        "flat": nir.Flatten({"input": np.array([6, 1, 2])}, 0, -1),
        "fc": nir.Affine(rng.normal(0, 1, (5, 12)), rng.normal(0, 0.2, 5)),
        "lif3": nir.LIF(**of((5,), tau=2e-3, r=2.0, v_leak=0.0, v_threshold=0.4, v_reset=0.1)),
        "output": nir.Output({"output": np.array([5])}),
    }


def written(nir, tmp_path, nodes, edges=None):
    names = list(nodes)
    graph = nir.NIRGraph(nodes, edges or list(pairwise(names)), type_check=False)
    path = tmp_path / "g.nir"
    nir.write(path, graph)
    return path


def test_a_graph_runs_as_its_equations_say(nir, tmp_path):
    rng = np.random.default_rng(3)
    nodes = parts(nir, rng)
    path = written(nir, tmp_path, nodes)
    x = (rng.random((T, N, *SHAPE)) < 0.5).astype(np.uint8)
    expected = simulate(nodes, x, DT)
    network = network_of(read_graph(path), DT)
    with no_grad():
        y = network(Tensor(np.ascontiguousarray(np.moveaxis(x, 2, -1))))
    np.testing.assert_array_equal(y.data, expected["lif3"])
    assert 0.05 < expected["lif3"].mean() < 0.95
    np.save(tmp_path / "x.npy", x)
    subject = graph_subject(path, tmp_path / "x.npy", dt=DT)
    ops = subject.ops
    fired = {name: int(expected[name].sum()) for name in ("lif1", "if2", "lif3")}
    assert {name: ops.totals(name)["spikes"] for name in fired} == fired
    assert ops.samples == N
    assert ops.totals("conv1")["ac_binary"] > 0  # integers come in as events
    reached = int(expected["lif1"].sum(axis=(0, 1)).astype(int).sum())
    assert ops.totals("conv2")["events_in"] == reached
    assert subject.parameters == 4 * 2 * 9 + 4 + 6 * 2 * 9 + 12 * 5 + 5


def test_another_dt_is_another_network(nir, tmp_path):
    rng = np.random.default_rng(3)
    nodes = parts(nir, rng)
    x = (rng.random((T, N, *SHAPE)) < 0.5).astype(np.uint8)
    network = network_of(read_graph(written(nir, tmp_path, nodes)), DT / 2)
    with no_grad():
        y = network(Tensor(np.ascontiguousarray(np.moveaxis(x, 2, -1))))
    assert (y.data != simulate(nodes, x, DT)["lif3"]).any()


def test_the_table_of_a_graph_has_the_shapes_of_the_run(nir, tmp_path):
    path = written(nir, tmp_path, parts(nir, np.random.default_rng(3)))
    rows, words = graph_rows(read_graph(path))
    assert words == []
    found = [(row.name, row.kind, row.channels, row.size, row.groups, row.bias) for row in rows]
    assert found == [
        ("conv1", "conv", (2, 4), (6, 5), 1, True),
        ("lif1", "lif", (4, 4), (6, 5), 1, False),
        ("conv2", "conv", (4, 6), (6, 5), 2, False),
        ("if2", "if", (6, 6), (3, 3), 1, False),
        ("pool", "avg_pool", (6, 6), (3, 3), 1, False),
        ("fc", "linear", (12, 5), (), 1, True),
        ("lif3", "lif", (5, 5), (), 1, False),
    ]
    assert [row.values and row.values.kind for row in rows] == [None, None, "binary", None, "binary", "averaged", None]
    file = tmp_path / "net.csv"
    file.write_text(table_text(rows))
    assert [replace(row, line=0) for row in read_table(file)] == [replace(row, line=0) for row in rows]
    x = np.random.default_rng(0).uniform(0.1, 0.9, (T, 1, *SHAPE))
    np.save(tmp_path / "x.npy", x)
    ran = graph_subject(path, tmp_path / "x.npy", dt=DT).ops.totals()
    subject = graph_subject(path, timesteps=T, rate=Rate(0, 1))
    low, high = subject.ops.totals(), subject.high.totals()
    same = (
        "dense_mac",
        "dense_mac_padded",
        "mac",
        "bias_add",
        "places",
        "places_in",
        "charge_add",
        "compare",
        "leak_mul",
    )
    assert {n: (low[n], high[n]) for n in same} == {n: (ran[n], ran[n]) for n in same}
    assert all(low[n] <= ran[n] <= high[n] for n in ran if not COLUMNS[n].reading)
    for name in RULES:
        assert apply_rule(name, subject.ops).energy_mj <= apply_rule(name, subject.high).energy_mj


def sequences(nir, rng):
    """A network over sequences: convolutions (dilated, in groups), a scaling and a delay of each entry, a head."""
    of = lambda shape, **values: {name: np.full(shape, v) for name, v in values.items()}  # noqa: E731
    return {
        "input": nir.Input({"input": np.array([2, 11])}),
        "conv1": nir.Conv1d(11, rng.normal(0, 0.7, (4, 2, 3)), 1, 2, 2, 1, rng.normal(0, 0.1, 4)),
        "lif1": nir.LIF(**of((4, 11), tau=4e-3, r=3.0, v_leak=0.0, v_threshold=0.7, v_reset=0.0)),
        "delay": nir.Delay(rng.integers(0, 4, (4, 11)) * DT),
        "conv2": nir.Conv1d(11, rng.normal(0, 0.9, (6, 2, 4)), 2, 1, 1, 2, np.zeros(6)),
        "scale": nir.Scale(rng.uniform(0.5, 2, (6, 5))),
        "if2": nir.IF(**of((6, 5), r=500.0, v_threshold=0.9, v_reset=-0.1)),
        "flat": nir.Flatten({"input": np.array([6, 5])}, 0, -1),
        "late": nir.Delay(np.arange(30) % 2 * DT),
        "gain": nir.Scale(rng.uniform(0.5, 2, 30)),
        "fc": nir.Linear(rng.normal(0, 0.5, (5, 30))),
        "lif3": nir.LIF(**of((5,), tau=2e-3, r=2.0, v_leak=0.0, v_threshold=0.4, v_reset=0.1)),
        "output": nir.Output({"output": np.array([5])}),
    }


def test_sequences_scalings_and_delays_run_as_their_equations_say(nir, tmp_path):
    nodes = sequences(nir, np.random.default_rng(4))
    path = written(nir, tmp_path, nodes)
    x = (np.random.default_rng(5).random((9, N, 2, 11)) < 0.5).astype(np.uint8)
    expected = simulate(nodes, x, DT)
    np.save(tmp_path / "x.npy", x)
    with no_grad():
        y = network_of(read_graph(path), DT)(Tensor(np.ascontiguousarray(np.moveaxis(x, 2, -1))))
    np.testing.assert_array_equal(y.data, expected["lif3"])
    assert 0.05 < expected["lif3"].mean() < 0.95
    ops = graph_subject(path, tmp_path / "x.npy", dt=DT).ops
    late, fired = expected["delay"], expected["if2"]
    windows = np.zeros(11, int)  # of conv2, by place: four taps every two places, one place of padding
    for start in range(-1, 8, 2):
        windows[[i for i in range(start, start + 4) if 0 <= i < 11]] += 1
    assert ops.totals("conv2")["ac_binary"] == int((late * windows).sum()) * 3  # outputs of its group
    assert late.sum() < expected["lif1"].sum()  # what is late comes after the end
    assert ops.totals("delay") == dict.fromkeys(ops.totals("delay"), 0)
    assert ops.totals("gain")["w_select"] == int(expected["late"].sum())
    assert ops.totals("scale")["elem_mul"] == fired.size
    rows, words = graph_rows(read_graph(path))
    assert [(r.name, r.kind, r.size, r.kernel) for r in rows if r.weighted] == [
        ("conv1", "conv", (1, 11), (1, 3)),
        ("conv2", "conv", (1, 11), (1, 4)),
        ("fc", "linear", (), (1, 1)),
    ]
    assert [row.values and row.values.kind for row in rows if row.weighted] == [None, "binary", "analog"]
    named = "scale (Scale: no line of a table), gain (Scale: no line of a table)"
    assert words == [f"not counted, because no layer of a table is like it: {named}"]
    low, high = graph_subject(path, timesteps=9, rate=Rate(0, 1)).ops.totals(), ops.totals()
    assert low["dense_mac"] * N == high["dense_mac"]


def test_a_padded_average_runs_and_counts_what_is_inside(nir, tmp_path):
    nodes = parts(nir, np.random.default_rng(3))
    nodes["pool"] = nir.AvgPool2d(np.array([3, 2]), np.array([1, 2]), np.array([1, 1]))
    nodes["flat"] = nir.Flatten({"input": np.array([6, 3, 2])}, 0, -1)
    nodes["fc"] = nir.Affine(np.random.default_rng(4).normal(0, 1, (5, 36)), np.zeros(5))
    path = written(nir, tmp_path, nodes)
    x = (np.random.default_rng(5).random((T, N, *SHAPE)) < 0.5).astype(np.uint8)
    expected = simulate(nodes, x, DT)
    np.save(tmp_path / "x.npy", x)
    with no_grad():
        y = network_of(read_graph(path), DT)(Tensor(np.ascontiguousarray(np.moveaxis(x, 2, -1))))
    np.testing.assert_array_equal(y.data, expected["lif3"])
    found = graph_subject(path, tmp_path / "x.npy", dt=DT).ops.totals("pool")
    windows = np.outer([2, 3, 2], [1, 1, 1])  # rows: three of three, less one at each end; columns: two every two
    assert found["pool_add"] == int((expected["if2"] * windows).sum()) > 0
    assert found["pool_mul"] == T * N * 6 * 3 * 2
    (row,) = [row for row in graph_rows(read_graph(path))[0] if row.name == "pool"]
    assert (row.padding, row.kernel, row.stride) == ((1, 1), (3, 2), (1, 2))
    nodes["pool"] = nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([2, 2]))
    with pytest.raises(InterchangeError, match=r"pool \(AvgPool2d: padding \(2, 2\), more than half the kernel\)"):
        network_of(read_graph(written(nir, tmp_path, {k: nodes[k] for k in ("input", "pool", "output")})))


def test_a_delay_that_is_no_whole_number_of_steps(nir, tmp_path):
    nodes = {"input": nir.Input({"input": np.array([4])}), "late": nir.Delay(np.array([0, 1.5, 1, 2]) * DT)}
    nodes["output"] = nir.Output({"output": np.array([4])})
    path = written(nir, tmp_path, nodes)
    with pytest.raises(
        InterchangeError, match=r"late \(Delay: a delay of 0.0015 s is no whole number of steps of 0.001"
    ):
        network_of(read_graph(path), DT)
    assert network_of(read_graph(path), DT / 2).layers["late"].steps.tolist() == [0, 3, 2, 4]


def test_what_cannot_run_is_counted_by_rate_and_named(nir, tmp_path):
    one = np.ones(4)
    nodes = {
        "input": nir.Input({"input": np.array([3])}),
        "fc": nir.Linear(np.ones((4, 3))),
        "cuba": nir.CubaLIF(one, one, one, 0 * one, one),
        "scale": nir.Scale(one),
        "uneven": nir.LIF(np.arange(1.0, 5), one, 0 * one, one),
        "leaky": nir.LIF(one, one, one, one),
        "li": nir.LI(one, one, 0 * one),
        "output": nir.Output({"output": np.array([4])}),
    }
    path = written(nir, tmp_path, nodes)
    rows, words = graph_rows(read_graph(path))
    assert [(row.name, row.kind) for row in rows] == [
        ("fc", "linear"),
        ("cuba.current", "li"),
        ("cuba", "lif"),
        ("uneven", "lif"),
        ("leaky", "lif"),
        ("li", "li"),
    ]
    assert any("scale (Scale: no line of a table)" in text for text in words)
    ops = graph_subject(path, rate=Rate(1, 1)).ops
    assert ops.totals("li")["compare"] == ops.totals("li")["places"] == 0
    assert ops.totals("li")["leak_mul"] == ops.totals("cuba")["leak_mul"] == 3 * 4
    with pytest.raises(InterchangeError) as error:
        network_of(read_graph(path))
    for text in (
        "cuba (CubaLIF: the engine has no such layer)",
        "uneven (LIF: tau differs from neuron to neuron, 1 to 4)",
        "leaky (LIF: v_leak 1 is not 0)",
        "li (LI: the engine has no such layer)",
    ):
        assert text in str(error.value)


def test_sums_and_loops(nir, tmp_path):
    one = np.ones(4)
    nodes = {
        "input": nir.Input({"input": np.array([4])}),
        "a": nir.Linear(np.eye(4)),
        "b": nir.Linear(2 * np.eye(4)),
        "fire": nir.IF(one * 1e3, one * 2.5),
        "output": nir.Output({"output": np.array([4])}),
    }
    edges = [("input", "a"), ("input", "b"), ("a", "fire"), ("b", "fire"), ("fire", "output")]
    path = written(nir, tmp_path, nodes, edges)
    with no_grad():
        y = network_of(read_graph(path), 1e-3)(Tensor(np.ones((2, 1, 4), np.uint8)))
    assert y.data.min() == 1  # 1 + 2 is above 2.5, neither alone is
    assert any("additions where several nodes meet" in text for text in graph_rows(read_graph(path))[1])
    path = written(nir, tmp_path, nodes, [*edges[:1], *edges[2:3], ("fire", "b"), *edges[3:]])
    assert any("recurrent: fire gets input from later nodes" in text for text in graph_rows(read_graph(path))[1])
    with pytest.raises(InterchangeError, match=r"fire \(input from later nodes\)"):
        network_of(read_graph(path))


def test_files_and_data_that_do_not_fit(nir, tmp_path):
    path = written(nir, tmp_path, parts(nir, np.random.default_rng(3)))
    x = np.zeros((T, N, *SHAPE))
    for wrong, words in (
        (x[0], r"expected \[T, N, 2, 6, 5\] of the graph's Input, found \(3, 2, 6, 5\)"),
        (np.moveaxis(x, 2, -1), r"found \(5, 3, 6, 5, 2\)"),
        (x.astype(int) - 1, "expected events of 0 to 255, found -1 to -1"),
        (x + np.nan, "expected finite numbers, found nan"),
        (x.astype("U1"), "expected numbers, found type <U"),
    ):
        np.save(tmp_path / "x.npy", wrong)
        with pytest.raises(TableError, match=words):
            graph_subject(path, tmp_path / "x.npy")
    path.write_bytes(b"no HDF5")
    with pytest.raises(InterchangeError, match="expected a file of NIR, found none"):
        read_graph(path)
    with pytest.raises(InterchangeError, match="found no such file"):
        read_graph(tmp_path / "none.nir")
