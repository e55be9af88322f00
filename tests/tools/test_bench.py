"""tools/bench.py: what it computes from times, and a whole run on the smallest network."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from misnet import MISNet, MISNetConfig
from misnet.interchange.state import state_dict_of
from snncore import Tensor, no_grad, observe
from tests.tools.command_line import ROOT, shell

sys.path.insert(0, str(ROOT / "tools"))

from misnet.tools.benchmarks import alone
from misnet.tools.benchmarks.figures import line_of, ratios
from misnet.tools.benchmarks.kernels import SPREAD, TOGETHER, draw_spikes

HAS_PEERS = all(importlib.util.find_spec(name) for name in ("torch", "spikingjelly"))


def figures(seconds, peak=100.0):
    return {"median_s": seconds, "min_s": seconds / 2, "processor_s": 2 * seconds, "peak_mib_above_imports": peak}


def test_ratios_are_peer_over_ours_on_the_same_threads():
    runs = {
        "ours train 1": figures(2.0, 50.0),
        "ours train 2": figures(1.25),
        "alone 1": figures(3.0),
        "alone 2": figures(1.5) | {"min_s": 1.0},
        "ours infer 1": figures(0.5),
        "ours infer 2": figures(0.4),
        "reference train 1": figures(7.0),
        "peer eager train 1 contiguous_format": figures(9.0, 300.0),
        "peer eager train 1 channels_last": figures(8.0, 250.0),
        "peer compiled train 1 channels_last": figures(6.0),
        "peer bf16 train 1 channels_last": figures(3.0),
        "peer eager train 2 channels_last": figures(5.0),
        "peer eager infer 1 channels_last": figures(2.0),
    }
    found = ratios(runs, 1)
    assert found["train_speedup"] == 4.0  # the better of its layouts
    assert found["train_speedup_compiled"] == 3.0
    assert found["train_speedup_2_threads"] == 4.0
    assert found["infer_speedup"] == 4.0
    assert found["memory_ratio"] == 5.0
    assert found["threads_speedup"] == found["threads_speedup_least"] == 1.6
    assert (found["threads_given"], found["threads_given_least"]) == (2.0, 1.5)
    assert found["train_speedup_reference"] == 3.5
    assert found["infer_speedup_compiled"] is None
    assert found["train_speedup_bf16"] == 1.5
    runs["ours train 1"]["processor_s"] = 1.0
    assert ratios(runs, 1, "processor_s")["train_speedup"] == 16.0
    assert ratios(runs, 1)["train_speedup"] == 4.0


def test_the_two_halves_of_what_a_machine_gives_are_all_added_up(monkeypatch):
    monkeypatch.setattr(alone, "ROUNDS", 3)
    run = alone.AloneRun()
    assert run.train() == run.infer() == alone.ENTRIES * (0 + 1 + 2)
    assert run.sums.tolist() == [alone.ENTRIES * 3] * 2


def test_the_line_is_fitted_below_the_limit():
    rows = [{"density": d, "spikes": 1000 * d, "ms": 0.5 + 2e-6 * 1000 * d * 1e3} for d in (0.01, 0.1, 0.2, 0.3)]
    rows.append({"density": 1.0, "spikes": 1000, "ms": 99.0})
    fit = line_of(rows, "ms")
    assert fit["constant_ms"] == pytest.approx(0.5)
    assert fit["ns_per_spike"] == pytest.approx(2000.0)
    assert fit["r_squared"] == pytest.approx(1.0)


@pytest.mark.parametrize("density", TOGETHER)
@pytest.mark.parametrize(("spread", "least", "most"), [(1, 0.1, 0.26), (SPREAD, 0.55, 0.7)])
def test_neighbours_fire_together_or_independently(density, spread, least, most):
    x = draw_spikes(np.random.default_rng(0), (4, 16, 16, 64), density, spread)
    assert x.dtype == np.uint8
    assert x.mean() == pytest.approx(density, abs=0.01)
    both = (x[:, :, 1:] & x[:, :, :-1]).sum() / x[:, :, 1:].sum()
    assert least < both < most


@pytest.mark.skipif(HAS_PEERS, reason="the peers are installed")
def test_peers_that_are_not_installed_are_named_with_the_command(call):
    done = call("bench", "--peers")
    assert done.status == 2
    assert 'pip install -e ".[peers]"' in done.err


@pytest.mark.skipif(not HAS_PEERS, reason='needs the extra "peers"')
def test_the_peer_is_the_same_network():
    from misnet.tools.benchmarks.peer import PeerRun

    config = MISNetConfig(variant="XS", channels=(4, 6), cells=(1, 2), size=8, timesteps=3, visual_channels=2)
    model = MISNet(config, seed=1).eval()
    rng = np.random.default_rng(0)
    for p in model.parameters():
        p.data += rng.normal(0, 0.1, p.shape).astype(np.float32)
    audio, video = (rng.standard_normal((3, 2, 8, 8, c)).astype(np.float32) for c in (1, 2))
    shape = (config.stage_channels, config.stage_cells)
    weights = state_dict_of(model, "misnet")
    batch = (audio, video, np.arange(2))
    peer = PeerRun(config.to_dict(), shape, weights, batch, "channels_last", False)
    with no_grad():
        ours = model(Tensor(audio), Tensor(video)).p.data
    np.testing.assert_allclose(peer.infer(), ours, rtol=1e-4, atol=1e-5)
    assert abs(ours).max() > 0.01
    half = PeerRun(config.to_dict(), shape, weights, batch, "channels_last", False, half=True)
    apart = abs(half.infer() - ours).max() / abs(ours).max()
    assert 1e-4 < apart < 0.5  # 8 bits of every weight
    spikes = []
    with no_grad(), observe(lambda f, inputs, made: spikes.extend(y for y in made if f.spiking)):
        model(Tensor(audio), Tensor(video))
    for run in (peer, half):  # from a run in either
        found = run.spikes_apart()
        assert found["spikes"] == pytest.approx(sum(s.sum() for s in spikes) / sum(s.size for s in spikes), rel=1e-3)
        assert 0 < found["apart"] < 0.1
        assert found["verdicts"] in (0, 0.5, 1)
    assert np.array_equal(half.infer(), half.infer())  # it is still in bfloat16
    assert half.half
    assert not peer.half


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--threads", "0"), "--threads: expected at least 1, found 0"),
        (("--steps", "-1"), "--steps: expected at least 1, found -1"),
        (("--run", "nowhere", "--size", "32"), "--run: the run sets the network; also found --size"),
        (("--run", "nowhere", "--variant", "S", "--timesteps", "4"), "also found --variant, --timesteps"),
        (("--size", "0"), "--size: expected at least 1, found 0"),
        (("--run", "nowhere"), "nowhere"),
        (("--density", "1.5"), "--density: expected a number between 0 and 1, found 1.5"),
    ],
)
def test_arguments_that_cannot_be_used(call, arguments, message):
    done = call("bench", *arguments)
    assert done.status == (1 if arguments == ("--run", "nowhere") else 2)
    assert message in done.err
    assert "Traceback" not in done.err


def test_biases_are_shifted_until_the_spikes_have_the_density():
    from misnet.tools.benchmarks.ours import densities, recorded_calls, shift_to_density

    model = MISNet(MISNetConfig(variant="XS", channels=(8, 16), cells=(1, 1), size=8, timesteps=3, visual_channels=1))
    rng = np.random.default_rng(0)
    batch = tuple(rng.standard_normal((3, 4, 8, 8, 1)).astype(np.float32) for _ in range(2))
    shift = shift_to_density(model, batch, 0.3)
    assert shift != 0
    assert np.mean(list(densities(recorded_calls(model, batch)).values())) == pytest.approx(0.3, abs=0.02)
    found = []

    def see(function, inputs, outputs):
        if type(function).__name__ == "Conv2d" and inputs[0].dtype == np.uint8:
            found.append(inputs[0].mean())

    with no_grad(), observe(see):
        model.eval()(*map(Tensor, batch))
    assert np.mean(found) == pytest.approx(0.3, abs=0.03)  # in inference, too


@pytest.mark.slow
def test_a_whole_run_on_the_smallest_network(tmp_path):
    report, picture = tmp_path / "bench.json", tmp_path / "bench.png"
    small = ("--variant", "XS", "--size", "8", "--batch-size", "1", "--timesteps", "2", "--steps", "1")
    done = shell("bench", *small, "--whole-only", "--json", str(report), "--picture", str(picture))
    assert done.status == 0, done.err
    content = json.loads(report.read_text())
    assert content["train_speedup"] is None
    assert content["threads_speedup"] > 0
    assert content["ratios"]["threads_given"] > 0
    assert content["runs"]["ours train 1"]["median_s"] > 0
    assert set(content["scores_differ_by"]) == {"ours infer 1", "ours infer 2", "reference infer 1"}
    assert max(content["scores_differ_by"].values()) < 1e-4
    assert "ours train 1" in done.out
    assert not picture.exists()  # there is no sweep to draw
    assert not list(Path(tmp_path).glob("*.tmp"))
