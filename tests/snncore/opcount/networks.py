"""Small networks of the engine alone, of the kinds that counting must understand."""

import numpy as np

from snncore import Tensor, at_timestep, nn
from snncore import functions as F


def repeated(x, timesteps):
    """[N, ...] as [T, N, ...], by the network itself."""
    return F.Stack(0)(*[x] * timesteps)


class Images(nn.Module):
    """Spiking, convolutional, with a residual: [T, N, H, W, 1] to [N, 3]; repeats [N, H, W, 1] itself if told T."""

    def __init__(self, rng, timesteps=0, pool=nn.MaxPool2d, reset=None):
        self.timesteps = timesteps
        settings = {"v_threshold": 0.3, "v_reset": reset}
        self.first, self.norm, self.fire = nn.Conv2d(1, 4, 3, 1, 1, rng=rng), nn.BatchNorm(4), nn.LIF(**settings)
        self.branch, self.fire_branch = nn.Conv2d(4, 4, 3, 1, 1, rng=rng), nn.PLIF(**settings)
        self.pool, self.last, self.fire_last = pool(2), nn.Conv2d(4, 5, 3, 2, 1, rng=rng), nn.IF(**settings)
        self.head = nn.Linear(5, 3, rng=rng)

    def forward(self, x):
        x = repeated(x, self.timesteps) if self.timesteps else x
        s = self.fire(self.norm(self.first(x)))
        s = F.SEW()(self.fire_branch(self.branch(s)), s)
        s = self.fire_last(self.last(self.pool(s)))
        return self.head(F.GlobalAvgPool()(s)).mean(0)


class Tokens(nn.Module):
    """Spiking attention over tokens: [T, N, L, 4] to [N, 3]; repeats [N, L, 4] itself if told T."""

    def __init__(self, rng, timesteps=0):
        self.timesteps = timesteps
        self.embed, self.fire = nn.Linear(4, 6, rng=rng), nn.LIF(v_threshold=0.2)
        self.query, self.fire_query = nn.Linear(6, 6, rng=rng), nn.LIF(v_threshold=0.2)
        self.fire_value, self.middle, self.head = nn.LIF(v_threshold=0.2), nn.Linear(6, 4, rng=rng), nn.Linear(4, 3)

    def forward(self, x):
        x = repeated(x, self.timesteps) if self.timesteps else x
        s = self.fire(self.embed(x))  # [T, N, L, 6]
        q = self.fire_query(self.query(s))
        heads = q.reshape(*q.shape[:3], 2, 3).transpose(0, 1, 3, 2, 4)  # [T, N, 2, L, 3]
        y = (heads @ heads.transpose(0, 1, 2, 4, 3)) * 0.5 @ heads  # [T, N, 2, L, 3]
        y = y.transpose(0, 1, 3, 2, 4).reshape(*q.shape)
        s = F.SEW()(self.fire_value(y), s)
        mean = self.middle(s).mean(0)  # [N, L, 4]: time is gone
        weights = F.Softmax()(mean @ mean.transpose(0, 2, 1))  # [N, L, L]
        return self.head((weights @ mean).mean(1))


class Analog(nn.Module):
    """No spikes, no time: [N, H, W, 1] to [N, 3], with a normalisation over channels out of small operations."""

    def __init__(self, rng):
        self.first, self.norm, self.second = (
            nn.Conv2d(1, 4, 3, 1, 1, rng=rng),
            nn.BatchNorm(4),
            nn.Linear(4, 4, rng=rng),
        )
        self.head = nn.Linear(4, 3, rng=rng)

    def forward(self, x):
        h = self.norm(self.first(x))
        centred = h - h.mean(-1, keepdims=True)
        h = centred / ((centred * centred).mean(-1, keepdims=True) + 1.0)
        return self.head(F.GlobalAvgPool()(F.AvgPool2d(2)(F.ReLU()(self.second(h)))))


class Loop(nn.Module):
    """Goes through time itself, a step at a time: [T, N, 4] to [N, 3]."""

    def __init__(self, rng):
        self.first, self.fire = nn.Linear(4, 6, rng=rng), nn.LIF(v_threshold=0.2, stateful=True)
        self.head = nn.Linear(6, 3, rng=rng)

    def forward(self, x):
        self.fire.reset()
        steps = []
        for t in range(x.shape[0]):
            with at_timestep(t):
                steps.append(self.head(self.fire(self.first(x[t : t + 1]))))
        return F.Concat(0)(*steps).mean(0)


def inputs(rng, *shape):
    """Analog input with values of both signs."""
    return rng.normal(0.2, 1, shape).astype(np.float32)


ZOO = {  # name -> (network, shape of its input, axis of its samples, whether it has timesteps)
    "images": (lambda rng, t: Images(rng), "tnss1", 1, True),
    "images, repeated": (lambda rng, t: Images(rng, t), "nss1", 0, True),
    "images, averaged": (lambda rng, t: Images(rng, pool=nn.AvgPool2d, reset=0.0), "tnss1", 1, True),
    "tokens": (lambda rng, t: Tokens(rng), "tns4", 1, True),
    "tokens, repeated": (lambda rng, t: Tokens(rng, t), "ns4", 0, True),
    "analog": (lambda rng, t: Analog(rng), "nss1", 0, False),
    "loop": (lambda rng, t: Loop(rng), "tn4", 1, True),
}


def made(name, rng, t=3, n=2, size=4):
    """(network in evaluation mode that fires, input, axis of its samples, timesteps) of one of ZOO."""
    build, shape, axis, timed = ZOO[name]
    network = build(rng, t).train()
    x = inputs(rng, *({"t": t, "n": n, "s": size}.get(letter) or int(letter) for letter in shape))
    for _ in range(3):
        network(Tensor(x))
    return network.eval(), x, axis, t if timed else 0
