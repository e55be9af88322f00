"""Every model of the registry, and every neuron of MISNet, under a monitor: the spikes that are counted, and why."""

import numpy as np
import pytest

from misnet.models.misnet.fusion import FusedMLIF
from misnet.models.registry import DEFAULT, build
from misnet.training.recording import FiringRates
from snncore import Tensor, monitor, no_grad, to_device
from snncore.kernels.choice import use_kernels
from tests.misnet.models.test_every_model import SMALL, small
from tests.misnet.tiny import shaken, tiny_config
from tests.support import double
from tests.support.double import ledger
from tests.support.shim.build import compiler

NEURONS = {
    "full": {},
    "trained": {"neuron": "plif", "reset": "hard", "spatial_weight": "channel"},
    "clif": {"neuron": "clif", "mlif": "independent"},
    "mlp": {"mlif_fusion": "mlp"},
    "attention": {"mlif_fusion": "attention"},
    "fused spikes": {"mlif": "independent", "mlif_fusion": "mlp"},
    "one neuron": {"mlif": "fused-charge", "mlif_fusion": "mlp"},
    "threshold": {"mlif": "second-threshold"},
    "audio": {"streams": "audio"},
    "visual": {"streams": "visual", "mlif": "second-threshold", "spatial_weight": "none"},
    "shared": {"sew": "shared"},
}
NETWORKS = {f"misnet {name}": (DEFAULT, switches) for name, switches in NEURONS.items()} | {
    name: (name, None) for name in SMALL
}


def network(name):
    """The model, in training, so that its spikes reach all layers, and what it gives and records."""
    model, switches = NETWORKS[name]
    config = small(model) if switches is None else tiny_config(v_threshold=0.5, mlif_v_threshold=0.5, **switches)
    rng = np.random.default_rng(0)
    streams = [Tensor(rng.normal(0, 2, (s[0], 3, *s[1:])).astype("f4")) for s in config.shapes().values()]
    return shaken(build(model, config)), streams


@pytest.mark.parametrize("name", NETWORKS)
def test_spikes_are_those_that_are_counted_and_fire_where_the_membranes_say(name):
    model, streams = network(name)
    rates = FiringRates()
    with use_kernels("reference"), no_grad(), rates.recording(), monitor(model) as seen:
        model(*streams)
    found = {path: int(r.spikes.sum()) for path, r in seen.items()}
    assert sum(found.values()) == sum(rates.spikes.values())
    if not any("#" in path for path in found) and "mlif_fusion" not in (NETWORKS[name][1] or {}):
        assert found == dict(rates.spikes)
    assert (len(found) == 0) == (name in ("concat-resnet18", "pmr", "qmf"))
    for path, r in seen.items():
        np.testing.assert_array_equal(r.margin >= 0, r.spikes != 0, err_msg=path)
        if r.neuron != "Fire":
            assert r.membrane.shape == r.charge.shape == r.current.shape == r.spikes.shape
            quiet = r.spikes == 0
            np.testing.assert_array_equal(r.membrane[quiet], r.charge[quiet], err_msg=path)


@pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")
def test_on_a_gpu_nothing_is_read_until_it_is_looked_at():
    config = tiny_config(v_threshold=0.5, mlif_v_threshold=0.5)
    found = {}
    for device in ("cpu", "cuda"):
        with double.installed():
            model = shaken(build(DEFAULT, config)).to(device)
            _, streams = network("misnet full")
            streams = [Tensor(to_device(x.data, device)) for x in streams]
            before = ledger.events["d2h"]
            with use_kernels("reference" if device == "cpu" else None), no_grad(), monitor(model) as seen:
                model(*streams)
            assert ledger.events["d2h"] == before
            found[device] = {path: (r.spikes, r.charge, r.margin, r.threshold) for path, r in seen.items()}
    for path, (spikes, charge, margin, threshold) in found["cuda"].items():
        assert type(charge) is np.ndarray
        np.testing.assert_array_equal(margin >= 0, spikes)
        np.testing.assert_array_equal(spikes, found["cpu"][path][0])
        np.testing.assert_allclose(charge, found["cpu"][path][1], rtol=1e-4, atol=1e-5)
        assert threshold == found["cpu"][path][3]


@pytest.mark.parametrize("fusion", ["mlp", "attention"])
def test_a_fused_mlif_fires_where_its_fusion_of_the_charges_says(fusion):
    model, streams = network(f"misnet {fusion}")
    with use_kernels("reference"), no_grad(), monitor(model) as seen:
        model(*streams)
        for path, module in model.named_modules():
            if isinstance(module, FusedMLIF):
                a, v = seen[f"{path}.a"], seen[f"{path}.v"]
                assert 0 < a.spikes.sum() < a.spikes.size
                scaled = [r.charge * p.data for r, p in ((a, module.alpha_a), (v, module.alpha_v))]
                for t in range(len(a.spikes)):
                    for r, f in zip((a, v), module.fusion(*(Tensor(x[t]) for x in scaled)), strict=True):
                        np.testing.assert_array_equal(f.data >= np.float32(0.5), r.spikes[t])
                        np.testing.assert_array_equal(f.data - np.float32(0.5), r.margin[t])
