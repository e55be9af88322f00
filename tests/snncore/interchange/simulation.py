"""NIR by its equations, in float64, channels first: a chain of nodes in the order in which they run."""

import numpy as np


def simulate(nodes, x, dt):
    """Every node's output over [T, N, ...] in float64: forward Euler as NIR's equations say, one scalar rule a node."""
    made, y = {}, x.astype(np.float64)
    for name, node in nodes.items():
        kind = type(node).__name__
        if kind == "Conv2d":
            (sy, sx), (ph, pw), groups = np.broadcast_to(node.stride, 2), np.broadcast_to(node.padding, 2), node.groups
            padded = np.pad(y, ((0, 0), (0, 0), (0, 0), (ph, ph), (pw, pw)))
            co, per, kh, kw = node.weight.shape
            ho, wo = (padded.shape[3] - kh) // sy + 1, (padded.shape[4] - kw) // sx + 1
            y = np.zeros((*x.shape[:2], co, ho, wo))
            for k, i, j in np.ndindex(co, ho, wo):
                first = k // (co // groups) * per
                window = padded[:, :, first : first + per, i * sy : i * sy + kh, j * sx : j * sx + kw]
                y[:, :, k, i, j] = (window * node.weight[k]).sum(axis=(2, 3, 4)) + node.bias[k]
        elif kind == "Conv1d":
            padded = np.pad(y, ((0, 0), (0, 0), (0, 0), (node.padding, node.padding)))
            co, per, k = node.weight.shape
            reach = node.dilation * (k - 1) + 1
            out = (padded.shape[3] - reach) // node.stride + 1
            y = np.zeros((*x.shape[:2], co, out))
            for c, i in np.ndindex(co, out):
                first, start = c // (co // node.groups) * per, i * node.stride
                window = padded[:, :, first : first + per, start : start + reach : node.dilation]
                y[:, :, c, i] = (window * node.weight[c]).sum(axis=(2, 3)) + node.bias[c]
        elif kind == "Scale":
            y = y * node.scale
        elif kind == "Delay":
            late = np.zeros_like(y)
            for place in np.ndindex(y.shape[2:]):
                d = round(float(np.broadcast_to(node.delay, y.shape[2:])[place]) / dt)
                late[(slice(d, None), slice(None), *place)] = y[(slice(0, max(0, len(y) - d)), slice(None), *place)]
            y = late
        elif kind in ("LIF", "IF"):
            v, spikes = np.zeros(y.shape[1:]), np.zeros_like(y)
            for t, current in enumerate(y):
                slope = node.r * current if kind == "IF" else (node.v_leak - v + node.r * current) / node.tau
                v = v + dt * slope
                spikes[t] = v > node.v_threshold
                v = np.where(spikes[t] == 1, node.v_reset, v)
            y = spikes
        elif kind == "AvgPool2d":
            (kh, kw), (sy, sx), (ph, pw) = node.kernel_size, node.stride, node.padding
            y = np.pad(y, ((0, 0), (0, 0), (0, 0), (ph, ph), (pw, pw)))
            rows, columns = ((n - k) // s + 1 for n, k, s in zip(y.shape[3:], (kh, kw), (sy, sx), strict=True))
            windows = [y[..., i * sy :, j * sx :][..., :kh, :kw] for i in range(rows) for j in range(columns)]
            y = np.stack([w.mean(axis=(-1, -2)) for w in windows], -1).reshape(*y.shape[:3], rows, columns)
        elif kind == "Flatten":
            y = y.reshape(*y.shape[:2], -1)
        elif kind in ("Affine", "Linear"):
            y = y @ node.weight.T + (node.bias if kind == "Affine" else 0)
        made[name] = y
    return made
