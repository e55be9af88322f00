"""Networks of two modalities beside torch with our weights: the same spikes, scores and gradients in float64."""

import re

import numpy as np
import pytest

from misnet.models.registry import build, config_class
from snncore import Tensor, monitor
from snncore import functions as F
from tests.misnet.models.checks import batch_of

torch = pytest.importorskip("torch", reason="the extra peers is not installed")
pytest.importorskip("spikingjelly", reason="the extra peers is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")

NEAR = 1e-9  # how far scores and gradients may be apart, of the largest of an array
N = 5
SIZES = {"size": 8, "timesteps": 3, "classes": 3}
SMMT = {"size": 16, "width": 16, "depth": 1, "attention_heads": 2, "mlp_ratio": 2, "cross_depth": 2}
SCMRL = {"width": 16, "attention_heads": 2, "mlp_ratio": 2, "halvings": 2}
EMSNN = {"channels": (3, 4), "width": 6, "v_threshold": 0.5}
MISNET = {"variant": "XS", "channels": (4, 6), "cells": (1, 1), "visual_channels": 2, "head_scale": 1.0}
SWIN = MISNET | {"block": "swin", "window": 2, "swin_heads": 2, "mlp_ratio": 2}
PUBLIC_CODE = {"neuron": "clif", "sew": "shared", "cell_residual": True, "spatial_weight": "none", "pooling": "avg"}
PUBLIC_CODE |= {"learn_alpha": False, "head_pool": 1, "visual_channels": 1}
ANN = {"channels": (4, 6), "blocks": (2, 1)}


def twins():
    """By model: the function in torch, its loss, and the settings of its neurons."""
    from tests.peers import misnet_twin, multimodal_twins

    def cross_entropy(scores, labels, config):
        return torch.nn.functional.cross_entropy(scores["av"], labels)

    rivals = multimodal_twins.RIVALS
    return {
        "smmt": (multimodal_twins.smmt, cross_entropy, rivals),
        "emsnn": (multimodal_twins.emsnn, cross_entropy, rivals),
        "s-cmrl": (multimodal_twins.s_cmrl, multimodal_twins.alignment, rivals),
        "concat-resnet18": (multimodal_twins.split_head, cross_entropy, rivals),
        "qmf": (multimodal_twins.qmf, multimodal_twins.qmf_loss, rivals),
        "pmr": (multimodal_twins.split_head, None, rivals),
        "misnet": (misnet_twin.misnet, misnet_twin.loss, misnet_twin.PAPER),
    }


def lively(model, rng):
    """Weights away from ones and zeros, so that every layer fires."""
    for name, p in model.named_parameters():
        if name.endswith("bn.weight"):
            p.data += rng.uniform(0.5, 1.5, p.shape)
        elif name.endswith("bn.bias"):
            p.data += rng.uniform(0.4, 1, p.shape) if re.search(r"\.[qkv]\.", name) else rng.uniform(-0.3, 0.7, p.shape)
        elif ".w_" in name:
            p.data += rng.uniform(-0.3, 0.6, p.shape)
        elif name in ("encoders.audio.linear.bias", "encoders.visual.linear.bias"):  # S-CMRL: nothing normalises it
            p.data += rng.uniform(0, 2, p.shape)
    return model


class Twins:
    """A network of ours and its twin, with the same weights, inputs and labels."""

    def __init__(self, name, switches):
        self.config = config_class(name)(**(SIZES | switches))
        self.ours = lively(build(name, self.config).astype(np.float64), np.random.default_rng(1)).train()
        self.streams, _ = batch_of(self.config, N, np.float64)
        self.labels = np.arange(N) % self.config.classes
        self.forward, self.loss, self.lif = twins()[name]
        if name == "misnet" and self.config.reset == "hard":
            self.lif = self.lif | {"v_reset": 0.0, "detach_reset": self.config.detach_reset}

    def run(self, loss=None):
        """A step of both: spikes are equal, scores, loss and gradients near. Returns our spikes and scores, the Net."""
        from tests.peers.multimodal_twins import make

        net = make(self.ours, **self.lif)
        with monitor(self.ours) as seen:
            scores = self.ours(*map(Tensor, self.streams))
        value = self.ours.loss(scores, self.labels)
        self.ours.zero_grad()
        value.backward()
        found = self.forward(net, self.config, *(torch.from_numpy(x) for x in self.streams))
        expected = (loss or self.loss)(found, torch.from_numpy(self.labels), self.config)
        expected.backward()

        trains = {path: record.spikes for path, record in seen.items()}
        assert trains.keys() == net.trains.keys()
        for path, s in trains.items():
            np.testing.assert_array_equal(s, net.trains[path].numpy().reshape(s.shape), err_msg=path)
        for head, p in scores.items():
            np.testing.assert_allclose(p.data, found[head].detach().numpy(), rtol=NEAR, err_msg=head)
        np.testing.assert_allclose(value.item(), expected.item(), rtol=NEAR)
        same_gradients(self.ours, net)
        return trains, scores, net


def same_gradients(ours, net):
    scale = max(abs(p.grad).max() for p in ours.parameters())
    for name, p in ours.named_parameters():
        g = net.p[name].grad.numpy()
        # a bias before a normalisation has no gradient but what was rounded, a thousandth of NEAR at most
        np.testing.assert_allclose(p.grad, g, rtol=0, atol=NEAR * (abs(g).max() + 1e-3 * scale), err_msg=name)


CASES = {
    "smmt": ("smmt", SMMT),
    "emsnn": ("emsnn", EMSNN),
    "s-cmrl both": ("s-cmrl", SCMRL),
    "s-cmrl spatial": ("s-cmrl", SCMRL | {"attention": "spatial", "interaction": "concat"}),
    "s-cmrl temporal": ("s-cmrl", SCMRL | {"attention": "temporal", "alignment": False}),
    "misnet concat": ("misnet", MISNET),
    "misnet mlp": ("misnet", MISNET | {"mlif_fusion": "mlp", "head": "mlp"}),
    "misnet attention": ("misnet", MISNET | {"mlif_fusion": "attention", "head": "attention"}),
    "misnet Ab1.1": ("misnet", MISNET | {"mlif": "fused-charge", "head": "sum"}),
    "misnet Ab1.2": ("misnet", MISNET | {"mlif": "fused-charge", "mlif_fusion": "mlp"}),
    "misnet Ab1.3": ("misnet", MISNET | {"mlif": "fused-charge", "mlif_fusion": "attention"}),
    "misnet Ab2.1": ("misnet", MISNET | {"mlif": "independent", "head": "hadamard"}),
    "misnet Ab2.2": ("misnet", MISNET | {"mlif": "independent", "mlif_fusion": "mlp"}),
    "misnet Ab2.3": ("misnet", MISNET | {"mlif": "independent", "mlif_fusion": "attention"}),
    "misnet second threshold": ("misnet", MISNET | {"mlif": "second-threshold"}),
    "misnet no neuron": ("misnet", MISNET | {"mlif": "off"}),
    "misnet swin": ("misnet", SWIN),
    "misnet swin, one window": ("misnet", SWIN | {"window": 4, "classes": 2}),
    "misnet and": ("misnet", MISNET | {"connect": "and", "v_threshold": 0.5}),
    "misnet iand": ("misnet", MISNET | {"connect": "iand", "spatial_weight": "channel", "mlif_v_threshold": 0.5}),
    "misnet hard reset": ("misnet", MISNET | {"reset": "hard", "detach_reset": True, "mlif": "independent"}),
    "misnet public code": ("misnet", MISNET | PUBLIC_CODE),
    "misnet vision": ("misnet", MISNET | {"streams": "visual"}),
    "misnet sound, one timestep": ("misnet", MISNET | {"streams": "audio", "timesteps": 1, "cells": (2, 1)}),
}


@pytest.mark.parametrize("case", CASES)
def test_spikes_scores_and_gradients(case):
    trains, *_ = Twins(*CASES[case]).run()
    assert len(trains) >= 4
    for path, s in trains.items():
        assert 0.005 < s.mean() < 0.95, f"{path}: {s.mean()}"


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
def test_concat_and_its_modulated_gradients(stem):
    both = Twins("concat-resnet18", ANN | {"stem": stem, "ogm": "ogm", "ogm_alpha": 0.7})
    trains, scores, net = both.run()
    assert trains == {}
    both.ours.after_backward(scores, both.labels)
    sure = [torch.from_numpy(scores[m].data).softmax(-1)[range(N), torch.from_numpy(both.labels)].sum() for m in "av"]
    factors = [1 - torch.tanh(0.7 * r) if r > 1 else 1.0 for r in (sure[0] / sure[1], sure[1] / sure[0])]
    assert sorted(map(float, factors))[0] < 0.9
    for name, p in net.p.items():
        if p.ndim == 4:
            p.grad *= factors["visual" in name]
    same_gradients(both.ours, net)


def test_qmf():
    Twins("qmf", ANN | {"rank_weight": 0.5}).run()


def test_pmr_in_its_first_step_and_with_prototypes():
    from tests.peers.multimodal_twins import prototype_loss

    def plain(scores, labels, config):
        return torch.nn.functional.cross_entropy(scores["av"], labels)

    both = Twins("pmr", ANN | {"mu": 0.3, "momentum": 0.6})
    both.run(plain)  # no prototype is known
    kept = [torch.from_numpy(x.data.copy()) for x in (both.ours.prototypes_a, both.ours.prototypes_v)]
    both.streams = [x[:, ::-1] + 0.3 * np.sin(7 * x) for x in both.streams]  # another batch
    both.labels = both.labels[::-1].copy()
    _, scores, _ = both.run(prototype_loss(kept, 1))
    means = [torch.stack([g[torch.from_numpy(both.labels == k)].mean(0) for k in range(3)])
             for g in (torch.from_numpy(x.data) for x in scores.features)]  # fmt: skip
    for mine, before, mean in zip((both.ours.prototypes_a, both.ours.prototypes_v), kept, means, strict=True):
        np.testing.assert_allclose(mine.data, (0.6 * before + 0.4 * mean).numpy(), rtol=1e-12)


def test_another_neuron_is_noticed():
    both = Twins(*CASES["smmt"])
    both.lif = both.lif | {"decay_input": False}
    with pytest.raises(AssertionError, match=r"encoders\.audio\.patches\.convs\.0\.neuron"):
        both.run()


def test_a_slightly_wrong_backward_is_noticed(monkeypatch):
    right = F.SEW.backward
    monkeypatch.setattr(F.SEW, "backward", lambda self, go: tuple(1.001 * g for g in right(self, go)))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        Twins(*CASES["misnet swin"]).run()
