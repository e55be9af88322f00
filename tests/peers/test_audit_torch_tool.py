"""`tools/audit.py --torch`: a network out of a file, inputs out of another, and what is wrong with either."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra peers is not installed")
pytest.importorskip("spikingjelly", reason="the extra peers is not installed")

from snncore import audit_torch  # noqa: E402
from tests.tools.command_line import ROOT, make_caller  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

NETWORK = """
import torch
from spikingjelly.activation_based import functional, layer, neuron

def make_model():
    net = torch.nn.Sequential(layer.Linear(6, 5), neuron.IFNode(), layer.Linear(5, 3))
    functional.set_step_mode(net, "m")
    return net

def steps():
    return torch.nn.Sequential(torch.nn.Linear(6, 5), neuron.IFNode(), torch.nn.Linear(5, 3))

def number():
    return 3

def broken():
    raise RuntimeError("no weights")

def leave():
    raise SystemExit(3)

def static():
    class Repeated(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.fire = torch.nn.Linear(6, 8), neuron.IFNode(step_mode="m")
        def forward(self, x):
            return self.fire(self.first(x).unsqueeze(0).repeat(4, 1, 1))
    return Repeated()

def dense():
    return torch.nn.Linear(6, 5)

class Scores(torch.nn.Module):
    # two classes: whether the sum of a sample is above 3, in the mean over steps
    def __init__(self, way):
        super().__init__()
        self.way = way
    def forward(self, x):
        up = x.sum(-1)  # [T, N], or [N] of one step
        y = torch.stack([0 * up + 3, up], -1)
        if self.way == "rates":
            return y.mean(0)
        return {"lists": (y, [x]), "turned": y.transpose(0, 1), "dict": {"scores": y}, "flat": up}.get(self.way, y)

def scores():
    return Scores("steps")

def rates():
    return Scores("rates")

def lists():
    return Scores("lists")

def turned():
    return Scores("turned")

def mapped():
    return Scores("dict")

def flat():
    return Scores("flat")

def cumulative():
    class Sum(torch.nn.Module):
        def forward(self, x):
            return x.cumsum(0)
    return Sum()
"""


@pytest.fixture
def audit(monkeypatch, capsys, tmp_path):
    """Run the tool in a folder with net.py and inputs of several kinds."""
    x = np.random.default_rng(0).normal(0.5, 2, (4, 7, 6)).astype(np.float32)  # [T, N, 6]
    (tmp_path / "net.py").write_text(NETWORK)
    (tmp_path / "wrong.py").write_text("import nowhere")
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x)
    torch.save(torch.from_numpy(x), tmp_path / "x.pt")
    np.save(tmp_path / "narrow.npy", x[..., :5])
    np.save(tmp_path / "flat.npy", x.reshape(28, 6)[:10])
    np.save(tmp_path / "four.npy", x[0, :4])
    np.save(tmp_path / "bits.npy", (x[0] > 0.5).astype(np.float32))
    np.save(tmp_path / "none.npy", x[0, :0])
    np.save(tmp_path / "nan.npy", np.full_like(x, np.nan))
    torch.save(torch.from_numpy(x[0]).bfloat16(), tmp_path / "short.pt")
    torch.save(torch.from_numpy(x[0]).requires_grad_(), tmp_path / "graded.pt")
    (tmp_path / "beside.py").write_text("WIDTH = 6")
    (tmp_path / "later.py").write_text("")
    (tmp_path / "uses.py").write_text(
        "import torch, beside\n\nclass Late(torch.nn.Linear):\n    def forward(self, x):\n        import later\n"
        "        return super().forward(x)\n\ndef make():\n    return Late(beside.WIDTH, 5)\n"
    )
    up = x.sum((0, 2)) > 4 * 3
    np.save(tmp_path / "y.npy", np.where(np.arange(7) < 2, ~up, up).astype(np.int64))  # the first two are wrong
    torch.save(torch.from_numpy(np.load(tmp_path / "y.npy")[:, None]), tmp_path / "y.pt")
    np.save(tmp_path / "y_short.npy", np.zeros(6, int))
    np.save(tmp_path / "y_floats.npy", np.zeros(7))
    np.save(tmp_path / "y_high.npy", np.full(7, 2))
    np.savez(tmp_path / "y_two.npz", a=np.zeros(7, int), b=np.zeros(7, int))
    np.save(tmp_path / "text.npy", np.array(["a"]))
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / "x.csv").write_text("1,2")
    monkeypatch.chdir(tmp_path)
    call = make_caller(monkeypatch, capsys)
    return lambda *arguments: call("audit", "--torch", *arguments)


def read():
    return json.loads(Path("a.json").read_text())


def test_the_same_inputs_from_every_kind_of_file_in_any_batches(audit):
    found = []
    for name, size in (("x.npy", 7), ("x.npz", 2), ("x.pt", 3)):
        options = ("--inputs", name, "--steps", 4, "--batch-size", size, "--json", "a.json", "--rule", "exact")
        result = audit("net.py:make_model", *options)
        assert (result.status, result.err) == (0, "")
        found.append(read())
    assert "Sequential of net.py:make_model, T=4, on x.pt (TN): 7 samples, 53 parameters" in result.out
    for column, n in found[0]["totals"].items():
        assert column == "weight_bytes_once" or found[1]["totals"][column] == found[2]["totals"][column] == n
    assert found[0]["samples"] == 7
    assert found[0]["totals"]["mac"] == 4 * 7 * 30
    assert 0 < found[0]["totals"]["ac_binary"] == 3 * found[0]["totals"]["spikes"]
    assert len(found[0]["data"]["fingerprint"]) == len(found[0]["network"]["sha256"]) == 64


def test_once_for_each_timestep(audit):
    options = ("--inputs", "x.npy", "--steps", 4, "--json", "a.json", "--rule", "exact")
    assert audit("net.py:steps", *options, "--outer-loop").status == 0
    assert read()["totals"]["mac"] == 4 * 7 * 30


@pytest.mark.parametrize(("name", "size"), [("flat.npy", 32), ("flat.npy", 6), ("flat.npy", 4), ("four.npy", 32)])
def test_a_layout_is_one_for_all_batches(audit, name, size):
    result = audit("net.py:static", "--inputs", name, "--steps", 4, "--json", "a.json", "--batch-size", size)
    samples = 10 if name == "flat.npy" else 4
    assert (result.status, read()["samples"], read()["totals"]["mac"]) == (0, samples, 48 * samples)
    assert f"Repeated of net.py:static, T=4, on {name} (N): {samples} samples" in result.out
    assert read()["data"]["layout"] == "N"
    assert ("warning: inputs of shape (4, 6) were read as N, 4 samples" in result.out) == (name == "four.npy")


def test_events_of_type_float_are_declared(audit):
    bits = int(np.load("bits.npy").sum())
    found = {}
    for option in ((), ("--events",), ("--no-events",)):
        result = audit("net.py:dense", "--inputs", "bits.npy", "--json", "a.json", "--rule", "exact", *option)
        assert ("--events of tools/audit.py" in result.out) == (option == ())
        found[option] = read()["totals"]["ac_binary"], read()["totals"]["mac"]
    assert found == {(): (0, 7 * 30), ("--events",): (5 * bits, 0), ("--no-events",): (0, 7 * 30)}


@pytest.mark.parametrize("name", ["short.pt", "graded.pt"])
def test_tensors_of_other_kinds_are_taken(audit, name):
    result = audit("net.py:dense", "--inputs", name, "--json", "a.json", "--rule", "exact")
    assert (result.status, read()["totals"]["mac"], read()["samples"]) == (0, 7 * 30, 7)


def test_a_file_may_import_what_lies_beside_it(audit):
    before = sys.path.copy()
    assert audit("uses.py:make", "--inputs", "bits.npy", "--json", "a.json", "--rule", "exact").status == 0
    assert read()["totals"]["mac"] == 7 * 30
    assert sys.path == before


def test_what_is_not_counted_is_a_warning_before_the_figures(audit):
    result = audit("net.py:cumulative", "--inputs", "x.npy", "--rule", "exact")
    assert result.status == 0
    assert result.out.index("warning: cumsum in Sum (Sum) on (4, 7, 6)") < result.out.index("rule ")


@pytest.mark.parametrize("way", ["scores", "rates", "lists", "turned", "mapped", "scores --outer-loop"])
@pytest.mark.parametrize("size", [2, 7])
def test_accuracy_stands_beside_the_energy(audit, way, size):
    """Five of seven are right, whatever the network returns and however it is cut into batches."""
    options = ("--inputs", "x.npy", "--steps", 4, "--json", "a.json", "--rule", "exact", "--batch-size", size)
    name, *more = way.split()
    result = audit(f"net.py:{name}", *options, "--labels", "y.npy", *more)
    assert (result.status, result.err) == (0, "")
    assert "accuracy: top-1 71.43 %" in result.out
    found = read()
    assert found["accuracy"] == {"top-1": pytest.approx(5 / 7)}
    assert (found["data"]["labels"], len(found["data"]["labels_fingerprint"])) == ("y.npy", 64)
    assert audit(f"net.py:{name}", *options, *more).status == 0
    without = read()
    assert (without["totals"], without["accuracy"]) == (found["totals"], {})


def test_a_recurrent_network_says_nothing_of_the_machine():
    """In a process of its own: PyTorch says once what it has to say."""
    code = (
        "import torch, snncore; snncore.audit_torch(torch.nn.LSTM(3, 2), torch.ones(4, 2, 3), layout='TN', timesteps=4)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert (result.stdout, result.stderr) == ("", "")


def test_labels_from_a_tensor_of_one_column(audit):
    result = audit("net.py:scores", "--inputs", "x.npy", "--steps", 4, "--labels", "y.pt", "--rule", "exact")
    assert "accuracy: top-1 71.43 %" in result.out


WRONG = {
    "net.py:scores --inputs x.npy --steps 4 --labels y_short.npy": (1, "y_short.npy: expected 7 integers of at least"),
    "net.py:scores --inputs x.npy --steps 4 --labels y_floats.npy": (1, "found float64 of shape (7,)"),
    "net.py:scores --inputs x.npy --steps 4 --labels y_high.npy": (1, "y_high.npy: expected labels below 2, found 2"),
    "net.py:scores --inputs x.npy --steps 4 --labels y_two.npz": (1, "y_two.npz: expected one array of labels, found"),
    "net.py:scores --inputs x.npy --steps 4 --labels z.npy": (1, "z.npy: No such file or directory"),
    "net.py:flat --inputs x.npy --steps 4 --labels y.npy": (
        1,
        "net.py: expected scores [7, classes] or [4, 7, classes] for --labels, found (4, 7)",
    ),
    "net.py:make --inputs x.npy": (1, "net.py: expected a function make, found make_model, steps, number"),
    "net.py:number --inputs x.npy": (1, "net.py: expected number() to return a torch.nn.Module, found int"),
    "net.py:leave --inputs x.npy": (1, "net.py: leave() failed: SystemExit: 3"),
    "net.py:dense --inputs none.npy": (1, "none.npy: expected at least one sample of at least one value, found shape"),
    "net.py:dense --inputs nan.npy": (1, "nan.npy: inputs: expected numbers, found NaN in shape (4, 7, 6)"),
    "net.py:make_model --inputs x.npy": (1, "takes an input of 4 timesteps, shape (4, 7, 5), and none were told: say"),
    "net.py:dense --inputs x.npy --events": (1, "x.npy: inputs: expected events, whole numbers from 0 to 255, found"),
    "net.py:broken --inputs x.npy": (1, "net.py: broken() failed: RuntimeError: no weights"),
    "wrong.py:make --inputs x.npy": (1, "wrong.py: running it failed at line 1: ModuleNotFoundError: No module named"),
    "none.py:make --inputs x.npy": (1, "none.py: No such file or directory"),
    "net.py:make_model --inputs no.npy": (1, "no.npy: No such file or directory"),
    "net.py:make_model --inputs x.csv": (1, "x.csv: expected inputs in .npy, .npz, .pt"),
    "net.py:make_model --inputs text.npy": (1, "text.npy: expected arrays of numbers with axes, found (1,)"),
    "net.py:make_model --inputs damaged.npz": (1, "damaged.npz: expected arrays, found BadZipFile"),
    "net.py:make_model --inputs narrow.npy --steps 4": (
        1,
        "narrow.npy: Sequential failed on inputs of shape (4, 7, 5): mat1 and mat2 shapes cannot be multiplied (28x5",
    ),
    "net.py:make_model --inputs x.npy --steps 3": (1, "takes an input of 4 timesteps, shape (4, 7, 5), expected 3"),
    "net.py:make_model --inputs x.npy --steps 3 --layout TN": (1, "expected 3 timesteps in layout TN, found shape"),
    "net.py:make_model --inputs x.npy --device cuda": (2, "--device: a PyTorch network is audited on the CPU"),
    "net.py --inputs x.npy": (2, "--torch: expected FILE.py:FUNCTION"),
    "net.py:make_model": (2, "--torch: expected --inputs FILE as well"),
    "net.py:make_model --inputs x.npy --layout HW": (2, "--layout: expected one of TN, NT, N for --torch, found 'HW'"),
    "net.py:make_model --inputs x.npy --outer-loop": (2, "--steps: expected a whole number of at least 1, found None"),
}


@pytest.mark.parametrize("line", WRONG)
def test_what_is_wrong_is_said_with_the_name_of_the_file(audit, line):
    status, words = WRONG[line]
    result = audit(*line.split())
    assert result.status == status
    assert words in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(("name", "layout", "steps"), [("spikingjelly", "TN", 4), ("snntorch", "N", 5)])
def test_the_examples_make_networks_that_are_counted_whole(name, layout, steps):
    pytest.importorskip("snntorch", reason="the extra peers is not installed")
    names = runpy.run_path(str(ROOT / "examples" / f"audit_{name}.py"))
    names["make_model"].__globals__["EPOCHS"] = 0
    x = names["X"][:2].expand(steps, -1, -1, -1, -1) if layout == "TN" else names["X"][:2]
    ops = audit_torch(names["make_model"]().eval(), x, timesteps=steps, layout=layout)
    assert (ops.samples, ops.notes) == (2, [])
    assert ops.totals()["mac"] == 2 * steps * (22 * 22 * 8 if layout == "TN" else 64 * 64)
    assert ops.unresolved("mac") == ops.unresolved("mac", by="sample") == 0
