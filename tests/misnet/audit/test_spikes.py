"""Recorded spikes beside a layer table count what the network that made them counts, cell by cell."""

import tracemalloc
import zipfile

import numpy as np
import pytest

from misnet.audit.layers_row import TableError
from misnet.audit.layers_table import read_table
from misnet.audit.spikes import recorded_subject
from snncore import Tensor, count_ops, nn, no_grad
from snncore import functions as F
from snncore.energy import RULES, apply_rule
from snncore.opcount.columns import COLUMNS
from tests.misnet.audit.tables import counted

T, N = 4, 3
TABLE = """name,kind,in_channels,out_channels,size,kernel,stride,padding,bias,values,rate,recording,recording_other
0,conv,2,4,6x5,3,1,1,yes,analog,,data,
1,lif,4,,6x5,,,,,,,s1,
2,conv,4,4,6x5,3,2,1,no,binary,{r},s1,
3,if,4,,3x3,,,,,,,s3,
4,residual,4,,3x3,,,,,,,s3,s3
6,linear,36,5,,,,,yes,,{r},sum,
7,lif,5,,,,,,,,,s7,
"""


class Twice(nn.Module):
    """Adds a spike train to itself: 0 or 2."""

    def forward(self, s):
        return F.SEW("add")(s, s)


def run(still):
    """A network, its counts, and every train that a simulator would have recorded, in the engine's order of axes."""
    rng = np.random.default_rng(0)
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, rng=rng),
        nn.LIF(v_threshold=0.1),
        nn.Conv2d(4, 4, 3, padding=1, stride=2, bias=False, rng=rng),
        nn.IF(v_threshold=0.1),
        Twice(),
        nn.Flatten(),
        nn.Linear(36, 5, rng=rng),
        nn.LIF(v_threshold=0.1),
    ).eval()
    x = rng.normal(0, 1, (T, N, 6, 5, 2)).astype(np.float32)
    x = np.repeat(x[:1], T, axis=0) if still else x
    trains, y = {"data": x}, Tensor(x)
    with no_grad():
        for i, module in enumerate(net):
            y = module(y)
            if i in (1, 3, 4, 7):
                trains["sum" if i == 4 else f"s{i}"] = y.data
    ops = counted(net, x, N)
    assert ops.totals()["ac_binary"] > 0
    assert ops.totals()["ac_graded"] > 0
    return ops, trains


@pytest.fixture(scope="module")
def recorded():
    return run(still=False)


def subject_of(tmp_path, trains, table=None, layout="", **more):
    file = tmp_path / "net.csv"
    file.write_text(TABLE.format(r="") if table is None else table)
    np.savez(tmp_path / "s.npz", **trains)
    return recorded_subject(file, read_table(file), tmp_path / "s.npz", layout, **more)


def differing(found, expected):
    """Columns that differ in a layer, a timestep or a sample."""
    once = {"weight_bytes_once"}
    wrong = {n for n in COLUMNS for layer in expected.layers() if found.totals(layer)[n] != expected.totals(layer)[n]}
    return wrong | {n for n in set(COLUMNS) - once if (found.table(n) != expected.table(n)).any()}


def channels_first(trains):
    """The same trains as other simulators write them: [T, N, C, H, W], booleans and floats."""
    made = {name: x.transpose(0, 1, 4, 2, 3) if x.ndim == 5 else x for name, x in trains.items()}
    return {name: x.astype(bool) if name == "s1" else x.astype(np.float64) for name, x in made.items()}


@pytest.mark.parametrize("layout", ["", "TNCHW"])
def test_recordings_count_as_the_network_that_made_them(tmp_path, recorded, layout):
    ops, trains = recorded
    subject = subject_of(tmp_path, channels_first(trains) if layout else trains, layout=layout)
    assert subject.high is None
    assert subject.ops.samples == N
    assert differing(subject.ops, ops) == set()
    for name in RULES:
        assert apply_rule(name, subject.ops).energy_mj == pytest.approx(apply_rule(name, ops).energy_mj, rel=1e-12), (
            name
        )


def test_data_that_stand_still_are_seen_to(tmp_path):
    ops, trains = run(still=True)
    assert ops.totals()["mac_repeated"] == ops.totals()["mac"] * (T - 1) // T > 0
    assert differing(subject_of(tmp_path, trains).ops, ops) == set()


def test_a_wrong_layout_or_train_is_caught(tmp_path, recorded):
    ops, trains = recorded
    turned = {**trains, "s1": trains["s1"][:, :, ::-1, :, :].copy()}  # as many events, elsewhere in the image
    assert "ac_binary" in differing(subject_of(tmp_path, turned).ops, ops)
    square = {**trains, "s3": trains["s3"].transpose(0, 1, 3, 2, 4).copy()}  # of no weight: counts do not ask where
    assert differing(subject_of(tmp_path, square).ops, ops) == set()


def test_one_sample_without_its_axis(tmp_path, recorded):
    _, trains = recorded
    one = {name: x[:, 1] for name, x in trains.items()}
    whole = subject_of(tmp_path, {name: x[:, 1:2] for name, x in trains.items()}).ops
    assert differing(subject_of(tmp_path, one).ops, whole) == set()
    assert whole.samples == 1


def test_what_is_not_recorded_falls_back_to_its_rate(tmp_path, recorded):
    ops, trains = recorded
    some = {name: x for name, x in trains.items() if name != "sum"}
    table = TABLE.format(r="25 %").replace(",sum,", ",,")
    subject = subject_of(tmp_path, some, table)
    assert subject.ops.totals("6")["ac_binary"] == T * N * 36 * 5 // 4
    assert subject.ops.by_sample("ac_binary", "6") == [T * 36 * 5 // 4] * N
    assert differing(subject.ops, ops) & {"spikes", "mac", "leak_mul"} == set()
    assert any("not recorded, counted by a rate (an expectation): 6" in text for text in subject.warnings)
    bracket = subject_of(tmp_path, some, TABLE.format(r="0-1").replace(",sum,", ",,"))
    assert bracket.ops.totals("6")["ac_binary"] == 0
    assert bracket.high.totals("6")["ac_binary"] == T * N * 36 * 5
    assert bracket.high.totals("2") == ops.totals("2")


def test_half_a_residual_recorded(tmp_path, recorded):
    _, trains = recorded
    table = "name,kind,in_channels,size,rate_other,recording\nadd,residual,4,3x3,0.5,s3\n"
    subject = subject_of(tmp_path, {"s3": trains["s3"]}, table)
    events = int((trains["s3"] > 0).sum())
    assert subject.ops.totals()["residual_add"] == pytest.approx(events / 2, abs=0.5)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("s1", lambda x: x * 0.5, "whole numbers of 0 to 1 (binary), found 0.5"),
        ("s1", lambda x: x.astype(np.int8) - 1, "found -1"),
        ("s1", lambda x: x * 2, "whole numbers of 0 to 1 (binary), found 2"),
        ("sum", lambda x: x * 0.25, "0 to 255 (or values: analog), found 0.5"),
        ("sum", lambda x: np.where(x, np.nan, 0), "found nan"),
        ("s1", lambda x: x[:, :2], "expected 3 samples as in data, found 2 samples"),
        ("s3", lambda x: x[:3], "expected 4 timesteps by --steps, found 3 timesteps"),
        ("s3", lambda x: x[..., :2], "expected TNHWC (4, 3, 3, 3, 4), found (4, 3, 3, 3, 2)"),
        ("s3", lambda x: x[0, 0, 0], "expected axes TNHWC, found an array of shape (3, 4)"),
        ("s3", lambda x: x.astype("U1"), "expected numbers, found type <U1"),
        ("s3", lambda x: x.astype(object), "array s3: expected"),
        ("data", lambda x: np.where(x > 2, np.inf, x), "expected finite numbers, found inf"),
    ],
)
def test_a_recording_that_does_not_fit_is_refused_by_name(tmp_path, recorded, name, change, words):
    _, trains = recorded
    with pytest.raises(TableError) as error:
        subject_of(tmp_path, {**trains, name: change(trains[name])}, timesteps=T)
    assert words in str(error.value)
    assert str(tmp_path / "s.npz") in str(error.value)
    assert f"array {name}" in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"s3": slice(3)}, "array s3, for 3 (line 5): expected 4 timesteps as in data, or a line that says its own"),
        ({"data": slice(3)}, "array s1, for 1 (line 3): expected 3 timesteps as in data"),
        ({"s7": slice(2), "sum": slice(2)}, "array sum, for 6 (line 7): expected 4 timesteps as in data"),
        ({"s1": slice(0)}, "array s1, for 1 (line 3): expected at least one timestep and one sample, found 0"),
    ],
)
def test_recordings_of_other_lengths_are_refused_unless_their_line_says_so(tmp_path, recorded, change, words):
    _, trains = recorded
    cut = {name: x[change.get(name, slice(None))] for name, x in trains.items()}
    with pytest.raises(TableError) as error:
        subject_of(tmp_path, cut)
    assert words in str(error.value)


def test_a_line_with_timesteps_of_its_own_may_be_shorter(tmp_path, recorded):
    """The head runs on the first 2 of 4 timesteps; what it counts is what it counted in these."""
    ops, trains = recorded
    heading, *lines = TABLE.format(r="").splitlines()
    table = "\n".join([f"{heading},timesteps", *(f"{x},{'2' if x[0] in '67' else ''}" for x in lines)])
    cut = {name: x[:2] if name in ("sum", "s7") else x for name, x in trains.items()}
    found = subject_of(tmp_path, cut, table).ops
    assert found.by_timestep("ac_graded", "6") == ops.by_timestep("ac_graded", "6")[:2]
    assert found.totals("3")["spikes"] == ops.totals("3")["spikes"]
    with pytest.raises(TableError, match="expected 2 timesteps by the table, found 4 timesteps"):
        subject_of(tmp_path, {**cut, "s7": trains["s7"]}, table)


def test_recordings_of_no_sample_are_refused(tmp_path, recorded):
    _, trains = recorded
    with pytest.raises(TableError, match=r"s\.npz, array data, for 0 \(line 2\): .*found 4 timesteps of 0 samples"):
        subject_of(tmp_path, {name: x[:, :0] for name, x in trains.items()})


def test_other_faults(tmp_path, recorded):
    _, trains = recorded
    for given, table, words in (
        ({**trains, "s9": trains["s1"]}, None, "found 's9' that no line takes"),
        ({k: x for k, x in trains.items() if k != "sum"}, TABLE.format(r="").replace(",sum,", ",,"), "found neither"),
        (trains, TABLE.format(r="").replace(",s7,", ",s8,"), "column recording: expected an array of"),
    ):
        with pytest.raises(TableError, match=words):
            subject_of(tmp_path, given, table)
    with pytest.raises(TableError, match="--layout: expected axes such as TNHWC"):
        subject_of(tmp_path, trains, layout="TNXY")
    subject_of(tmp_path, trains)
    whole = (tmp_path / "s.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "s.npz", "a") as archive:
        archive.writestr("notes.txt", "no array")
    with pytest.raises(TableError, match=r"found 'notes\.txt' that no line takes"):
        recorded_subject(tmp_path / "net.csv", read_table(tmp_path / "net.csv"), tmp_path / "s.npz")
    (tmp_path / "s.npz").write_bytes(whole.replace(b"NUMPY", b"XUMPY"))
    with pytest.raises(TableError, match=r"array \w+: expected numbers of numpy\.savez, found"):
        recorded_subject(tmp_path / "net.csv", read_table(tmp_path / "net.csv"), tmp_path / "s.npz")
    (tmp_path / "s.npz").write_bytes(b"no zip")
    file = tmp_path / "net.csv"
    with pytest.raises(TableError, match=r"expected a file of numpy\.savez"):
        recorded_subject(file, read_table(file), tmp_path / "s.npz")


def test_arrays_are_read_one_at_a_time(tmp_path, recorded, monkeypatch):
    """Of six arrays of 1 MB no more than a few times one is held."""
    rows = "".join(f"n{i},lif,64,,16x16,s{i}\n" for i in range(6))
    table = "name,kind,in_channels,out_channels,size,recording\n" + rows
    trains = {f"s{i}": np.zeros((4, 16, 16, 16, 64), np.uint8) for i in range(6)}
    file = tmp_path / "net.csv"
    file.write_text(table)
    np.savez_compressed(tmp_path / "s.npz", **trains)
    one = trains["s0"].nbytes
    del trains
    tracemalloc.start()
    recorded_subject(file, read_table(file), tmp_path / "s.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * one


def spikes_of(rng, *shape, top=1):
    return (rng.random((T, N, *shape)) < 0.3).astype(np.uint8) * rng.integers(1, top + 1, (T, N, *shape)).astype(
        np.uint8
    )


def operations(rng):
    """By kind: the line of a table, the recordings, and the operation itself on the same arrays."""
    ones = np.ones
    s, o = spikes_of(rng, 4, 6, 3), spikes_of(rng, 4, 6, 3, top=2)
    q, k = spikes_of(rng, 2, 5, 4), spikes_of(rng, 2, 4, 7)
    tokens, w = spikes_of(rng, 5, 6), np.full((4, 6, 1), 0.5, np.float32)
    current, half = ones((T, N, 4, 6, 3), np.float32), np.array(0.5, np.float32)
    fires = {"v_threshold": 0.7}
    neurons = {name: getattr(F, name.upper()) for name in ("lif", "plif", "clif")}
    trains = {
        "lif": neurons["lif"](**fires)(current),
        "plif": neurons["plif"](**fires)(current, half),
        "clif": neurons["clif"](2.0, 0.7)(current),
    }
    pixels, more = "{kind},3,,4x6", "kernel=2x3,stride=1x3"
    return {
        "max_pool": (pixels, {"x": o}, lambda: F.MaxPool2d((2, 3), (1, 3))(o), more),
        "avg_pool": (pixels, {"x": o}, lambda: F.AvgPool2d((2, 3), (1, 3))(o), more),
        "global_avg_pool": (pixels, {"x": s}, lambda: F.GlobalAvgPool()(s), ""),
        "linear": ("{kind},6,8,5", {"x": tokens}, lambda: F.Linear()(tokens, ones((6, 8), np.float32)), ""),
        "matmul": (
            "{kind},4,7,5",
            {"x": q, "y": k},
            lambda: F.MatMul()(q, k),
            "groups=2,recording_other=y",
        ),
        "residual": (pixels, {"x": s, "y": o}, lambda: F.SEW("add")(s, o), "recording_other=y"),
        "lif": (pixels, {"x": trains["lif"]}, lambda: F.LIF(**fires)(current), ""),
        "plif": (pixels, {"x": trains["plif"]}, lambda: F.PLIF(**fires)(current, half), ""),
        "clif": (pixels, {"x": trains["clif"]}, lambda: F.CLIF(2.0, 0.7)(current), ""),
        "mlif": (pixels, {"y": o}, lambda: F.MLIF(**fires)(o, o, half, half, w, w), "recording_other=y,repeat=2"),
    }


@pytest.mark.parametrize("kind", list(operations(np.random.default_rng(0))))
def test_every_kind_counts_as_its_operation(tmp_path, kind):
    line, trains, run_it, more = operations(np.random.default_rng(5))[kind]
    with no_grad(), count_ops(samples=N, timesteps=T) as ops:
        outputs = run_it()
    if kind == "mlif":
        trains = {**trains, "x": outputs[0]}
    trains = {name: x.data if isinstance(x, Tensor) else x for name, x in trains.items()}
    columns = dict(part.split("=") for part in more.split(",") if part)
    head = ",".join(["name,kind,in_channels,out_channels,size,recording", *columns])
    table = f"{head}\na,{line.format(kind=kind)},x,{','.join(columns.values())}\n"
    found = subject_of(tmp_path, trains, table).ops
    assert sum(ops.totals().values()) > 0
    assert {n: (found.totals()[n], v) for n, v in ops.totals().items() if found.totals()[n] != v} == {}
    for name in set(RULES) - ({"exact-memory"} if kind == "mlif" else set()):  # one memory there for both modalities
        assert apply_rule(name, found).energy_mj == pytest.approx(apply_rule(name, ops).energy_mj, rel=1e-12), name


def test_a_sum_and_an_integrator_do_less_than_their_like(tmp_path):
    rng = np.random.default_rng(5)
    head = "name,kind,in_channels,size,recording\n"
    trains = {"x": spikes_of(rng, 4, 6, 3)}
    mean, total = (
        subject_of(tmp_path, trains, f"{head}a,{kind},3,4x6,x\n").ops.totals() for kind in ("avg_pool", "sum_pool")
    )
    assert (total["pool_mul"], total["pool_add"]) == (0, mean["pool_add"])
    assert mean["pool_mul"] == T * N * 2 * 3 * 3
    fires, holds = (subject_of(tmp_path, trains, f"{head}a,{kind},3,4x6,x\n").ops.totals() for kind in ("lif", "li"))
    same = ("leak_mul", "charge_add", "state_read_bytes", "state_write_bytes")
    assert {n: holds[n] for n in same} == {n: fires[n] for n in same}
    assert {holds[n] for n in ("compare", "reset_add", "spikes", "places")} == {0}
