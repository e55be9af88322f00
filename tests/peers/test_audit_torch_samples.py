"""A batch counts what its samples count alone, also where timesteps, samples, channels and pixels are as many."""

import pytest

torch = pytest.importorskip("torch", reason="the extra peers is not installed")
pytest.importorskip("spikingjelly", reason="the extra peers is not installed")
snntorch = pytest.importorskip("snntorch", reason="the extra peers is not installed")

from spikingjelly.activation_based import functional, layer, neuron  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as TF  # noqa: E402

from snncore import audit_torch  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

K = 4  # timesteps, samples, channels, pixels, tokens, features


class Made(nn.Module):
    def __init__(self, function, *modules):
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(modules)
        self.fire = neuron.IFNode(v_reset=None, step_mode="m")

    def forward(self, x):
        return self.function(self, x)


class UNet(nn.Module):
    """An encoder, a decoder, and what the first fired handed to the second."""

    def __init__(self, mode):
        super().__init__()
        self.mode = mode
        self.down, self.low, self.out = (layer.Conv2d(c, K, 3, padding=1, step_mode="m") for c in (K, K, 2 * K))
        self.fire, self.fire2 = (neuron.IFNode(v_reset=None, step_mode="m") for _ in range(2))

    def forward(self, x):
        s = self.fire(self.down(x))
        low = self.fire2(self.low(functional.seq_to_ann_forward(s, nn.MaxPool2d(2))))
        high = functional.seq_to_ann_forward(low, lambda v: TF.interpolate(v, scale_factor=2, mode=self.mode))
        return self.out(torch.cat([s, high], 2))


class Speech(nn.Module):
    """A network of snnTorch over sequences, with its own loop."""

    def __init__(self):
        super().__init__()
        self.conv, self.fire = nn.Conv1d(K, K, 3, padding=1), snntorch.Leaky(0.9)
        self.head, self.fire2 = nn.Linear(K * K, K), snntorch.Leaky(0.8)

    def forward(self, x):
        v, u, made = self.fire.init_leaky(), self.fire2.init_leaky(), []
        for step in x:
            s, v = self.fire(self.conv(step), v)
            y, u = self.fire2(self.head(s.flatten(1)), u)
            made.append(y)
        return torch.stack(made)


def folded(net, x):
    conv, norm, pool, head = net.parts
    y = norm(conv(x.flatten(0, 1)))
    y = pool(net.fire(y.view(K, -1, K, K, K)).flatten(0, 1))
    return head(y.flatten(1)).view(K, -1, K).mean(0)


def attends(net, x):
    s = net.fire(x).flatten(0, 1)
    return net.parts[0](s, s, s, need_weights=False)[0].view(K, -1, K, K)


def tied(net, x):
    (embed,) = net.parts
    return net.fire(embed(x)) @ embed.weight


NETWORKS = {
    "U-Net, nearest": (lambda: UNet("nearest"), (K, K, K)),
    "U-Net, bilinear": (lambda: UNet("bilinear"), (K, K, K)),
    "speech": (Speech, (K, K)),
    "folded": (
        lambda: Made(
            folded, nn.Conv2d(K, K, 3, padding=1), nn.GroupNorm(2, K), nn.AvgPool2d(3, 1, 1), nn.Linear(K**3, K)
        ),
        (K, K, K),
    ),
    "attention": (lambda: Made(attends, nn.MultiheadAttention(K, 2, batch_first=True)), (K, K)),
    "tied": (lambda: Made(tied, nn.Linear(K, K, bias=False)), (K,)),
    "GRU": (lambda: Made(lambda net, x: net.parts[0](net.fire(x))[0], nn.GRU(K, K)), (K,)),
    "LSTM": (lambda: Made(lambda net, x: net.parts[0](net.fire(x))[0], nn.LSTM(K, K, 2)), (K,)),
    "LSTM both ways": (lambda: Made(lambda net, x: net.parts[0](x)[0], nn.LSTM(K, K, bidirectional=True)), (K,)),
    "PSN": (lambda: nn.Sequential(nn.Linear(K, K), neuron.PSN(T=K), nn.Linear(K, 2)), (K,)),
    "layer norm": (lambda: nn.Sequential(nn.LayerNorm(K), nn.Linear(K, K)), (K,)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_is_the_sum_of_its_samples(name):
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    net, x = make().eval(), 2 * torch.randn(K, K, *shape)
    whole = audit_torch(net, x, timesteps=K, layout="TN", strict=False)
    alone = [audit_torch(net, x[:, n : n + 1], timesteps=K, layout="TN", strict=False) for n in range(K)]
    for column, total in whole.totals().items():
        each = [part.totals()[column] for part in alone]
        if column != "weight_bytes_once":
            assert total == sum(each), column
            assert whole.by_sample(column) == each, column
    cut = audit_torch(net, [x[:, :1], x[:, 1:]], timesteps=K, layout="TN", strict=False)
    assert {k: v for k, v in cut.totals().items() if k != "weight_bytes_once"} == {
        k: v for k, v in whole.totals().items() if k != "weight_bytes_once"
    }
