"""SwinT blocks for SEW blocks (Table 11): attention of spikes in windows, without softmax, and a spiking MLP."""

import numpy as np

from misnet.models.misnet.config import MISNetConfig
from misnet.models.misnet.residual import ConvBNLIF, make_neuron
from snncore import functions as F
from snncore import nn
from snncore.tape import Tensor

__all__ = ["SwinHalf", "SwinTBlock", "WindowAttention"]


def to_windows(x: Tensor, window: int, heads: int) -> Tensor:
    """Cut maps [T, N, H, W, C] into [T, N, H / w, W / w, heads, w * w, C / heads]."""
    t, n, h, w, c = x.shape
    x = x.reshape(t, n, h // window, window, w // window, window, heads, c // heads)
    x = x.transpose(0, 1, 2, 4, 6, 3, 5, 7)  # [T, N, H / w, W / w, heads, w, w, C / heads]
    return x.reshape(t, n, h // window, w // window, heads, window * window, c // heads)


def from_windows(x: Tensor, window: int) -> Tensor:
    """Undo `to_windows`."""
    t, n, rows, columns, heads, _, d = x.shape
    x = x.reshape(t, n, rows, columns, heads, window, window, d).transpose(0, 1, 2, 5, 3, 6, 4, 7)
    return x.reshape(t, n, rows * window, columns * window, heads * d)


def rolled(x: Tensor, shift: int) -> Tensor:
    """Move maps [T, N, H, W, C] up and left by `shift` pixels, around the edge; down and right if it is negative."""
    x = F.Concat(2)(x[:, :, shift:], x[:, :, :shift])
    return F.Concat(3)(x[:, :, :, shift:], x[:, :, :, :shift])


def neighbours(size: int, window: int, shift: int) -> np.ndarray:
    """Which pixels of a window were near each other before the roll: 0 or 1, [H / w, W / w, 1, w * w, w * w]."""
    region = np.searchsorted([size - window, size - shift], np.arange(size), side="right")  # 0, 1 or 2 along one axis
    both = (3 * region[:, None] + region).reshape(1, 1, size, size, 1)
    cut = to_windows(Tensor(both), window, 1).data[0, 0, ..., 0]  # [H / w, W / w, 1, w * w]
    return (cut[..., :, None] == cut[..., None, :]).astype(np.float32)


class WindowAttention(nn.Module):
    """Self-attention of spikes within windows, without softmax.

        q, k, v = LIF(BN(W s)), each;   a = (q k^T * mask) v, for each window and head;   y = LIF(BN(W LIF(BN(a))))

    shift: pixels by which the windows are moved; the mask is 0 between pixels that only the edge brought together.
    q, k and v are spikes, so that q k^T counts coincidences and both products are accumulations. Spikformer (Zhou et
    al., ICLR 2023, Eqs. 5 and 6) scales the product by 1/8 and lowers the threshold to 1/2; here a BN stands there, so
    that neurons fire at any width and window. There is no relative position bias: without softmax it would be a
    current where nothing fires. s: uint8 [T, N, H, W, C], perhaps graded. Returns uint8, same shape.
    """

    def __init__(self, channels: int, size: int, shift: int, config: MISNetConfig, rng: np.random.Generator) -> None:
        self.window, self.heads, self.shift = config.window, config.swin_heads, shift
        self.q, self.k, self.v = (ConvBNLIF(channels, channels, config, rng, kernel=1) for _ in "qkv")
        self.bn, self.neuron = nn.BatchNorm(channels), make_neuron(config)
        self.project = ConvBNLIF(channels, channels, config, rng, kernel=1)
        self.mask = nn.Buffer(neighbours(size, config.window, shift)) if shift else None

    def forward(self, s: Tensor) -> Tensor:
        if self.shift:
            s = rolled(s, self.shift)
        q, k, v = (to_windows(layer(s), self.window, self.heads) for layer in (self.q, self.k, self.v))
        scores = F.MatMul(self.dtype)(q, k.transpose(0, 1, 2, 3, 4, 6, 5))  # [T, N, H / w, W / w, heads, w * w, w * w]
        if self.mask is not None:
            scores = scores * Tensor(self.mask.data)
        a = from_windows(scores @ v, self.window)  # [T, N, H, W, C]
        y = self.project(self.neuron(a, self.bn))
        return rolled(y, -self.shift) if self.shift else y


class SwinHalf(nn.Module):
    """One Swin Transformer block of spikes: y = connect(Attention(s), s);   o = connect(MLP(y), y).

    MLP(y) = LIF(BN(W2 LIF(BN(W1 y)))), with mlp_ratio * C hidden channels
    """

    def __init__(self, channels: int, size: int, shift: int, config: MISNetConfig, rng: np.random.Generator) -> None:
        self.attention = WindowAttention(channels, size, shift, config, rng)
        hidden = config.mlp_ratio * channels
        self.fc1 = ConvBNLIF(channels, hidden, config, rng, kernel=1)
        self.fc2 = ConvBNLIF(hidden, channels, config, rng, kernel=1)
        self.connect = F.SEW(config.connect)

    def forward(self, s: Tensor) -> Tensor:
        y = self.connect(self.attention(s), s)
        return self.connect(self.fc2(self.fc1(y)), y)


class SwinTBlock(nn.Module):
    """What stands for a SEW block in Table 11: two Swin Transformer blocks, the second with shifted windows.

    The paper names the block and its two parents, and gives no form. Read into it: two successive blocks, as Swin
    (Liu et al., ICCV 2021, Eq. 3) has them, for the two layers of a SEW block; LIF neurons and BN as in Spikformer;
    the connection of the SEW block for their residuals; W, MLIF and everything else as it was. Windows are not shifted
    where one covers the map. s: uint8 [T, N, H, W, C]. Returns uint8, same shape; with connect="add" up to 4 more.
    """

    def __init__(self, channels: int, size: int, config: MISNetConfig, rng: np.random.Generator) -> None:
        shift = config.window // 2 if size > config.window else 0
        self.plain = SwinHalf(channels, size, 0, config, rng)
        self.shifted = SwinHalf(channels, size, shift, config, rng)

    def forward(self, s: Tensor) -> Tensor:
        return self.shifted(self.plain(s))
